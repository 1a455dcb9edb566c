// The client with second factors and passkeys.
import { AuthClient as Client, AuthError } from "./auth-client.js";
import { createPasskey, passkeyError, usePasskey } from "./webauthn.js";

export { AuthError };

/** Milliseconds for which the service accepts a response to passkey options that do not say so. */
const OPTIONS_LIFETIME = 300_000;
/** Share of that time after which options that wait in autofill are replaced. */
const AGE_OF_RENEWAL = 0.8;

/** `AuthClient` with `factors` and `passkeys`. */
export class AuthClient extends Client {
  factors = new Factors(this);
  passkeys = new Passkeys(this);
}

/** The second factors of the signed-in user. */
class Factors {
  #client;

  constructor(client) {
    this.#client = client;
  }

  /** Return {factors, recoveryCodesLeft}. */
  list({ signal } = {}) {
    return this.#client.call("GET", "auth/factors", undefined, { signal });
  }

  /** Begin to add an authenticator app: return {id, secret, uri, qrCode}. It becomes a factor when it is confirmed. */
  addAuthenticator(name, { signal } = {}) {
    return this.#client.call("POST", "auth/factors/totp", { name }, { signal });
  }

  /** Confirm an authenticator app with its first code. The user's first factor comes with `recoveryCodes`. */
  async confirmAuthenticator(id, code, { signal } = {}) {
    const enrolled = await this.#client.call("POST", "auth/factors/totp/confirm", { id, code }, { signal });
    await renewRoles(this.#client);
    return enrolled;
  }

  rename(id, name, { signal } = {}) {
    return this.#client.call("PATCH", pathOf(id), { name }, { signal });
  }

  /** Remove a factor; with the last one, also the recovery codes. */
  async remove(id, { signal } = {}) {
    await this.#client.call("DELETE", pathOf(id), undefined, { signal });
  }

  /** Replace the recovery codes, and return the new ones. */
  async renewRecoveryCodes({ signal } = {}) {
    return (await this.#client.call("POST", "auth/factors/recovery-codes", undefined, { signal })).recoveryCodes;
  }
}

/** Passkeys in this browser. It waits for one at a time: each call ends the one before. */
class Passkeys {
  #client;
  #waiting = new AbortController();

  constructor(client) {
    this.#client = client;
    client.addEventListener("signedin", () => this.#endWaiting()); // Autofill has nothing to offer any more.
  }

  /** Return whether the browser has passkeys. */
  get isSupported() {
    return typeof globalThis.PublicKeyCredential === "function";
  }

  /** Return whether the browser offers passkeys in the autofill of an input field. */
  async supportsAutofill() {
    return (await globalThis.PublicKeyCredential?.isConditionalMediationAvailable?.()) ?? false;
  }

  /** Create a passkey for the signed-in user. The user's first factor comes with `recoveryCodes`. */
  async register(name, { signal } = {}) {
    const options = () => this.#client.call("POST", "auth/factors/passkeys/options", undefined, { signal });
    const credential = await this.#wait(signal, async (ended) => createPasskey(await options(), ended));
    const enrolled = await this.#client.call("POST", "auth/factors/passkeys", { credential, name }, { signal });
    await renewRoles(this.#client);
    return enrolled;
  }

  /**
   * Sign in without a password. With `conditional`, wait until the user chooses a passkey in the autofill of an input field
   * with `autocomplete="username webauthn"`.
   */
  async signIn({ conditional, signal, ...fields } = {}) {
    const passkey = await this.#wait(signal, conditional ? this.#offer : this.#request);
    return this.#client.signIn({ ...fields, passkey }, { signal });
  }

  /** Answer the challenge of a sign-in with a passkey. */
  async completeSignIn(challenge, { signal } = {}) {
    if (!challenge.passkey) throw passkeyError("passkey_unavailable");
    const passkey = await this.#wait(signal, (ended) => usePasskey(challenge.passkey, ended));
    return this.#client.completeSignIn(challenge, { passkey }, { signal });
  }

  /** Confirm a passkey after a 403 `second_factor_required` or `recent_authentication_required`. */
  async stepUp({ signal } = {}) {
    const options = () => this.#client.call("POST", "auth/reauthenticate/passkey/options", undefined, { signal });
    const passkey = await this.#wait(signal, async (ended) => usePasskey(await options(), ended));
    return this.#client.stepUp({ passkey }, { signal });
  }

  #request = async (ended) => usePasskey(await this.#client.passkeyOptions({ signal: ended }), ended);

  /** Offer passkeys in autofill. A page may be open for longer than its options are valid. */
  #offer = async (ended) => {
    if (!(await this.supportsAutofill())) throw passkeyError("passkey_unavailable");
    for (;;) {
      const options = await this.#client.passkeyOptions({ signal: ended });
      const expired = AbortSignal.timeout((options.timeout ?? OPTIONS_LIFETIME) * AGE_OF_RENEWAL);
      try {
        return await usePasskey(options, AbortSignal.any([ended, expired]), "conditional");
      } catch (error) {
        if (ended.aborted || !expired.aborted) throw error;
      }
    }
  };

  async #wait(signal, task) {
    this.#endWaiting();
    const waiting = new AbortController();
    this.#waiting = waiting;
    return task(AbortSignal.any([waiting.signal, signal].filter(Boolean)));
  }

  #endWaiting() {
    this.#waiting.abort(passkeyError("passkey_canceled"));
  }
}

/** Renew the token after a factor was added: it may have roles that need one. The next request tries again if it fails. */
async function renewRoles(client) {
  await client.refresh().catch(() => {});
}

function pathOf(id) {
  return `auth/factors/${encodeURIComponent(id)}`;
}
