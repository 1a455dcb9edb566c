import { isSession, parseJson } from "./responses.js";
import { StoredValue } from "./stored-value.js";

/**
 * The stored session, and what listeners know of it.
 *
 * `dispatch(event, detail)` is called for each change: by this client, by another tab, or by who clears the storage.
 */
export class SessionHolder {
  /** A session that is no longer stored, and that the service may still have. */
  lost = null;
  #stored;
  #dispatch;
  /** The session that listeners know of; undefined before the first look. */
  #known;

  constructor(storage, key, dispatch) {
    this.#stored = new StoredValue(storage, key, isSession);
    this.#dispatch = dispatch;
  }

  get version() {
    return this.#stored.version;
  }

  /** Return whether listeners know of a session. */
  get isKnown() {
    return Boolean(this.#known);
  }

  /** Return the stored session or null, and report it if listeners know of another one. */
  async look(reasonOfEnd = "storage_cleared") {
    let version;
    let session;
    do {
      version = this.#stored.version;
      session = await this.#stored.get();
    } while (version !== this.#stored.version);
    const before = this.#known;
    this.#known = session;
    if (before !== undefined) this.#report(before, session, reasonOfEnd);
    return session;
  }

  /** Look at the session after another tab has changed it. `textBefore` is what was stored before. */
  onChange(textBefore) {
    const before = parseJson(textBefore ?? "null");
    if (this.#known === undefined) this.#known = isSession(before) ? before : null;
    return this.look("other_tab");
  }

  /** Store a session with new tokens, and report it as `event`. */
  async store(session, event) {
    const stored = await this.replace({ ...session, renewedAt: Date.now() });
    this.#dispatch(event, { user: stored.user });
    return stored;
  }

  /** Store a session without reporting it. */
  async replace(session) {
    this.#known = session;
    await this.#stored.set(session);
    return session;
  }

  /** Delete a session and report its end, unless another one was started in the meantime. */
  async end(reason, session) {
    if (!isOfSameSignIn(await this.look(), session)) return;
    await this.replace(null);
    this.#dispatch("signedout", { reason, user: session.user });
  }

  #report(before, session, reasonOfEnd) {
    if (!session && before) {
      this.lost = before;
      this.#dispatch("signedout", { reason: reasonOfEnd, user: before.user });
    } else if (session && !isOfSameSignIn(before, session)) {
      this.#dispatch("signedin", { user: session.user });
    } else if (session && JSON.stringify(before) !== JSON.stringify(session)) {
      this.#dispatch("refreshed", { user: session.user });
    }
  }
}

/** Return whether two sessions have the same tokens. */
export function isSameSession(one, other) {
  return one?.renewedAt === other.renewedAt && one.accessToken === other.accessToken;
}

/** Return whether two sessions, of which the first may be null, began with the same sign-in. */
export function isOfSameSignIn(one, other) {
  return Boolean(one) && one.signedInAt === other.signedInAt && one.user.id === other.user.id;
}
