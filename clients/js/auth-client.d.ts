/** The error of every failed call: an error response of the service, or no response (`network_error`, status 0). */
export class AuthError extends Error {
  /** The service's code, such as `invalid_credentials`; or `network_error`, `signed_out`, `unexpected_answer`. */
  readonly code: string;
  /** The HTTP status; 0 if there was no response. */
  readonly status: number;
  /** Seconds to wait before a retry, if the service requests it (429, 503). */
  readonly retryAfter: number | null;
  /** Validation errors, by field. */
  readonly errors: Record<string, string[]>;
  /** All fields of the service's response. */
  readonly details: Record<string, unknown>;
  constructor(message: string, options: Partial<Omit<AuthError, keyof Error>> & { code: string; cause?: unknown });
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
  /** All times are in milliseconds since 1970. */
  signedInAt: number;
  renewedAt: number;
  /** All durations are in seconds since `renewedAt`. */
  expiresIn: number;
  refreshExpiresIn: number;
  /** Missing with cookies. */
  accessToken?: string;
  refreshToken?: string;
}

/** A kind of second factor: an authenticator app, a passkey, or a recovery code. */
export type FactorKind = "totp" | "passkey" | "recovery_code";

/** What a sign-in asks for after the right password, if the account has a second factor. Pass it to `completeSignIn`. */
export interface Challenge {
  readonly authSession: string;
  /** Seconds in which the challenge can be answered. */
  readonly expiresIn: number;
  /** What the user can answer with. */
  readonly factors: readonly FactorKind[];
  /** Options for `navigator.credentials.get`, if the user has a passkey. */
  readonly passkey?: PublicKeyCredentialRequestOptionsJSON;
}

/** A session, or a challenge: `const { secondFactor } = await auth.signIn(…)`. It starts no session until it is answered. */
export type SignInResult = (Session & { secondFactor?: undefined }) | { secondFactor: Challenge };

/** The browser's response to passkey options, as `PublicKeyCredential.toJSON()` returns it. */
export type PasskeyResponse = Pick<AuthenticationResponseJSON, "id" | "rawId" | "type"> & {
  response: Pick<AuthenticationResponseJSON["response"], "clientDataJSON" | "authenticatorData" | "signature">;
};

/** A second factor: a code of an authenticator app, a recovery code, or a passkey. */
export type SecondFactor =
  | { code: string; recoveryCode?: undefined; passkey?: undefined }
  | { recoveryCode: string; code?: undefined; passkey?: undefined }
  | { passkey: PasskeyResponse; code?: undefined; recoveryCode?: undefined };

/** `localStorage`, `sessionStorage`, or an object with these methods, which may be asynchronous. */
export interface SessionStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, text: string): unknown;
  removeItem(key: string): unknown;
}

export interface Options {
  /** The service's URL. Default: the page's origin. */
  url?: string;
  /** `body` (default): the client handles the tokens. `cookie`: tokens are in cookies that scripts cannot read. */
  transport?: "body" | "cookie";
  /**
   * Where the session is stored. Default: in memory; with cookies, in `localStorage`, without tokens. A function, such as
   * `() => localStorage`, may throw, as in a sandboxed frame: then the session is stored in memory.
   */
  storage?: SessionStorage | (() => SessionStorage | null) | null;
  /** Other origins that receive the access token. */
  origins?: string[];
  fetch?: typeof globalThis.fetch;
}

/** Options of a call. An aborted signal rejects the call immediately, with the signal's reason. */
export interface CallOptions {
  signal?: AbortSignal | null;
}

/** Why a session ended: one of these, or the error code of its refresh, such as `refresh_token_reused`. */
export type EndReason = "signed_out" | "signed_out_everywhere" | "other_tab" | "storage_cleared" | (string & {});

/** The state of a session for user interfaces, as `@authproject/client/react` and `…/vue` return it. */
export type SessionState =
  | { readonly status: "loading"; readonly user: null; readonly reason: null }
  | { readonly status: "signedIn"; readonly user: User; readonly reason: null }
  | { readonly status: "signedOut"; readonly user: null; readonly reason: EndReason | null };

export interface AuthEvents {
  signedin: CustomEvent<{ user: User }>;
  refreshed: CustomEvent<{ user: User }>;
  /** The access token could not be renewed. The session remains, and the next request tries again. */
  refreshfailed: CustomEvent<{ error: AuthError }>;
  signedout: CustomEvent<{ reason: EndReason; user: User | null }>;
}

export interface SignInOptions {
  audience?: string;
  /** With cookies, `false` signs out when the browser is closed. */
  remember?: boolean;
}

export interface SignUp {
  /** Optional if the service has `AUTH_USERNAME_REQUIRED=false`. */
  username?: string;
  email: string;
  password: string;
  fullname?: string;
  roles?: string[];
  /** The language of emails. Without it, the browser's. */
  language?: string;
  /** The token of an emailed invitation. */
  invitation?: string;
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
  /** Stop listening to other tabs. */
  close(): void;
  session(): Promise<Session | null>;
  signUp(fields: SignUp, options?: CallOptions): Promise<User & { message: string }>;
  /** Sign in with a password. The result is a challenge if the account has a second factor. */
  signIn(
    fields: { username: string; password: string } & SignInOptions,
    options?: CallOptions,
  ): Promise<SignInResult>;
  /** Sign in with a passkey alone: the browser's response to `passkeyOptions`. */
  signIn(fields: { passkey: PasskeyResponse } & SignInOptions, options?: CallOptions): Promise<Session>;
  /** Answer the challenge of a sign-in. After a wrong answer (403 `invalid_code`), the challenge can be answered again. */
  completeSignIn(challenge: Challenge, answer: SecondFactor, options?: CallOptions): Promise<Session>;
  /** Return options for `navigator.credentials.get`, to sign in with a passkey alone. */
  passkeyOptions(options?: CallOptions): Promise<PublicKeyCredentialRequestOptionsJSON>;
  /** With cookies: continue a session that was started elsewhere, for example on a sister site. */
  resume(options?: CallOptions): Promise<Session | null>;
  signOut(options?: CallOptions): Promise<void>;
  signOutEverywhere(options?: CallOptions): Promise<void>;
  /** Confirm the password after a 403 `recent_authentication_required`. */
  reauthenticate(password: string, options?: CallOptions): Promise<Session>;
  /** Confirm a second factor after a 403 `second_factor_required`, or any of these after `recent_authentication_required`. */
  stepUp(answer: { password: string } | SecondFactor, options?: CallOptions): Promise<Session>;
  /** Refresh the session, unless it was refreshed since `stale`, the session that a refused request was sent with. */
  refresh(stale?: Session | null, options?: CallOptions): Promise<Session>;
  /** Return the session, refreshed if its access token is about to expire, for requests that are not sent with `fetch`. */
  fresh(options?: CallOptions): Promise<Session | null>;
  /** Call an endpoint below /api/, as in `call<User>("GET", "auth/me")`. */
  call<Content = any>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Content>;
  /** `fetch` with the session's access token, renewed as needed. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
}
