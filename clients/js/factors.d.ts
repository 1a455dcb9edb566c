import { AuthClient as Client } from "./auth-client.js";
import type { CallOptions, Challenge, Session, SignInOptions } from "./auth-client.js";

export { AuthError } from "./auth-client.js";

/** A second factor of the signed-in user. Times are in ISO 8601. */
export interface Factor {
  id: string;
  type: "totp" | "passkey";
  name: string;
  createdAt: string;
  lastUsedAt: string | null;
  /** Whether a passkey can be on several devices. Null for an authenticator app. */
  synced: boolean | null;
}

/** A factor that was added. The user's first factor comes with recovery codes, which are shown once. */
export interface Enrolled extends Factor {
  recoveryCodes?: string[];
}

/** What an authenticator app needs. */
export interface Authenticator {
  id: string;
  secret: string;
  /** `otpauth://…`: on a phone, a link that opens the app. */
  uri: string;
  /** The same as an image, for the `src` of an `<img>`. */
  qrCode: string;
}

/**
 * The second factors of the signed-in user.
 *
 * Changes need a recent authentication (403 `recent_authentication_required`); if the user has a factor, with a factor (403
 * `second_factor_required`). Call `stepUp` then, and repeat the call.
 */
export interface Factors {
  list(options?: CallOptions): Promise<{ factors: Factor[]; recoveryCodesLeft: number }>;
  /** Begin to add an authenticator app. It becomes a factor when it is confirmed. */
  addAuthenticator(name?: string, options?: CallOptions): Promise<Authenticator>;
  /** Confirm an authenticator app with its first code. */
  confirmAuthenticator(id: string, code: string, options?: CallOptions): Promise<Enrolled>;
  rename(id: string, name: string, options?: CallOptions): Promise<Factor>;
  /** Remove a factor; with the last one, also the recovery codes. */
  remove(id: string, options?: CallOptions): Promise<void>;
  /** Replace the recovery codes. The old ones are void. */
  renewRecoveryCodes(options?: CallOptions): Promise<string[]>;
}

/**
 * Passkeys in this browser.
 *
 * It waits for one passkey at a time: each call rejects the one before. Besides the service's errors, calls reject with the
 * codes `passkey_canceled` (by the user, the browser, or another call), `passkey_exists` and `passkey_unavailable`.
 */
export interface Passkeys {
  readonly isSupported: boolean;
  /** Whether the browser offers passkeys in the autofill of an input field. */
  supportsAutofill(): Promise<boolean>;
  /** Create a passkey for the signed-in user. Requirements are those of `Factors`. */
  register(name?: string, options?: CallOptions): Promise<Enrolled>;
  /**
   * Sign in without a password. With `conditional`, the promise waits until the user chooses a passkey in the autofill of an
   * input field with `autocomplete="username webauthn"`, and rejects with `passkey_canceled` at any other sign-in.
   */
  signIn(options?: SignInOptions & CallOptions & { conditional?: boolean }): Promise<Session>;
  /** Answer the challenge of a sign-in. */
  completeSignIn(challenge: Challenge, options?: CallOptions): Promise<Session>;
  /** Confirm a passkey after a 403 `second_factor_required` or `recent_authentication_required`. */
  stepUp(options?: CallOptions): Promise<Session>;
}

/** `AuthClient` with `factors` and `passkeys`. */
export class AuthClient extends Client {
  readonly factors: Factors;
  readonly passkeys: Passkeys;
}
