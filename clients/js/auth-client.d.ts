/** What a call fails with: a refusal by the service, or no answer at all (`network_error`, status 0). */
export class AuthError extends Error {
  /** The service's code, such as `invalid_credentials`; or `network_error`, `signed_out`, `unexpected_answer`. */
  readonly code: string;
  /** The HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** Seconds to wait before the next try, where the service says so (429, 503). */
  readonly retryAfter: number | null;
  /** What is wrong, by field, where fields are to blame. */
  readonly errors: Record<string, string[]>;
}

export interface User {
  id: number;
  username: string;
  email: string;
  fullname: string;
  /** As in `ROLE_USER`. */
  roles: string[];
}

export interface Session {
  user: User;
  /** Milliseconds since 1970, as of all moments here. */
  signedInAt: number;
  renewedAt: number;
  /** Seconds since `renewedAt`, as of all spans here. */
  expiresIn: number;
  refreshExpiresIn: number;
  /** Not there with cookies. */
  accessToken?: string;
  refreshToken?: string;
}

/** `localStorage`, `sessionStorage`, or anything of that shape; its methods may be asynchronous. */
export interface SessionStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, text: string): unknown;
  removeItem(key: string): unknown;
}

export interface Options {
  /** Where the service is; the page's own origin, unless given. */
  url?: string;
  /** How tokens travel: `body` (default) through this client's hands, `cookie` out of reach of scripts. */
  transport?: "body" | "cookie";
  /** Where the session is kept; in memory, unless given. With cookies: `localStorage`, and no token in it. */
  storage?: SessionStorage;
  /** Other origins whose APIs take these access tokens. */
  origins?: string[];
  fetch?: typeof globalThis.fetch;
}

/** Why a session ended; otherwise the code that its refresh was refused with, such as `refresh_token_reused`. */
export type EndReason = "signed_out" | "signed_out_everywhere" | "other_tab" | (string & {});

export interface AuthEvents {
  signedin: CustomEvent<{ user: User }>;
  refreshed: CustomEvent<{ user: User }>;
  /** The access token could not be renewed, but the session lives on: it is tried again with the next request. */
  refreshfailed: CustomEvent<{ error: AuthError }>;
  signedout: CustomEvent<{ reason: EndReason; user: User | null }>;
}

export interface SignUp {
  username: string;
  email: string;
  password: string;
  fullname?: string;
  roles?: string[];
}

export class AuthClient extends EventTarget {
  constructor(options?: Options);
  addEventListener<Name extends keyof AuthEvents>(
    type: Name,
    listener: (event: AuthEvents[Name]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Stop following the other tabs. */
  close(): void;
  session(): Promise<Session | null>;
  signUp(fields: SignUp): Promise<User & { message: string }>;
  signIn(fields: { username: string; password: string; audience?: string }): Promise<Session>;
  /** With cookies: take over a session that was opened elsewhere, as on a sister site. */
  resume(): Promise<Session | null>;
  signOut(): Promise<void>;
  signOutEverywhere(): Promise<void>;
  /** Confirm the password, for what answers 403 `recent_authentication_required`. */
  reauthenticate(password: string): Promise<Session>;
  /** Renew the session, unless that was done since `stale`, the session that a refused request was sent with. */
  refresh(stale?: Session): Promise<Session>;
  /** The session, renewed if its access token is about to end: for what is not sent by `fetch`. */
  fresh(): Promise<Session | null>;
  /** Call an endpoint below /api/, as in `call("GET", "auth/me")`. */
  call(method: string, path: string, body?: unknown): Promise<any>;
  /** `fetch` with the session's access token, renewed as needed. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
}
