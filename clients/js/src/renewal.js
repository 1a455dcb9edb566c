import { endsSession, signedOutError } from "./errors.js";
import { isObject, parseTokens, parseUser } from "./responses.js";
import { isOfSameSignIn, isSameSession } from "./session-holder.js";
import { SharedFailure } from "./shared-failure.js";
import { StoredValue } from "./stored-value.js";
import { delay } from "./waiting.js";

/** Seconds: a call waits for `Retry-After` up to this value, and fails beyond it. */
const MAX_RETRY_AFTER = 30;
/** How often a call waits for `Retry-After`. */
const MAX_WAITS = 3;
/** Milliseconds to wait for another tab's refresh: short enough to repeat it within the service's grace period (10 s). */
export const REFRESH_PATIENCE = 6_000;

/** Refreshes the session, once for all requests and tabs that wait for it. */
export class Renewal {
  #holder;
  #requests;
  #lock;
  #dispatch;
  #usesCookies;
  #failure;
  /** Set while a refresh is in progress. It remains if the tab is closed, and the next tab repeats the refresh. */
  #started;
  #pending = null;

  constructor({ holder, requests, lock, dispatch, usesCookies, storage, key }) {
    this.#holder = holder;
    this.#requests = requests;
    this.#lock = lock;
    this.#dispatch = dispatch;
    this.#usesCookies = usesCookies;
    this.#failure = new SharedFailure(storage, `${key}:failure`);
    this.#started = new StoredValue(storage, `${key}:refreshing`, (value) => isObject(value) && "refreshing" in value);
  }

  get version() {
    return this.#failure.version + this.#started.version;
  }

  /** Refresh the session, unless it was refreshed since `stale`. Throws AuthError. */
  renew(stale) {
    if (!isOfSameSignIn(this.#pending, stale)) {
      const pending = { ...stale };
      pending.promise = this.#renewWhenAllowed(stale).finally(() => {
        if (this.#pending === pending) this.#pending = null;
      });
      this.#pending = pending;
    }
    return this.#pending.promise;
  }

  /** Exchange a refresh token, or the cookie, for new tokens. Throws AuthError. */
  exchange(refreshToken) {
    const parse = (content) => parseTokens(content, this.#usesCookies);
    if (this.#usesCookies) return this.#requests.postPastClosing("auth/refreshtoken", { parse });
    return this.#requests.postRepeatedly("auth/refreshtoken", { refreshToken }, { parse });
  }

  /** Return the user of a session, as the service knows them now. Throws AuthError. */
  fetchUser(session) {
    return this.#requests.callSigned("GET", "auth/me", session, parseUser);
  }

  /** Learn of a failure in another tab. Its `Retry-After` counts from now. */
  noteFailure() {
    return this.#failure.latest();
  }

  /** Forget the last failure, after a sign-in. */
  forgetFailure() {
    return this.#failure.clear();
  }

  /** Repeat the refresh of a tab that was closed before it stored the response. */
  async finish() {
    if (!(await this.#started.get())) return;
    const finish = async () => {
      const [started, session] = [await this.#started.get(), await this.#holder.look()];
      if (started && started.refreshing === session?.renewedAt) await this.#refresh(session);
    };
    await this.#lock.run(finish, { patience: REFRESH_PATIENCE }).catch(() => {}); // The next request tries again.
  }

  async #renewWhenAllowed(stale) {
    const last = await this.#failure.latest();
    if (last?.wait > MAX_RETRY_AFTER * 1000) throw last.error;
    try {
      return await waitForRetryAfter(() => this.#renewInTurn(stale));
    } catch (error) {
      if (!endsSession(error) && error.code !== "signed_out") this.#dispatch("refreshfailed", { error });
      throw error;
    }
  }

  async #renewInTurn(stale) {
    const last = await this.#failure.latest();
    if (last?.wait) await delay(last.wait);
    return this.#lock.run(() => this.#renewUnlessDone(stale, last?.id), { patience: REFRESH_PATIENCE });
  }

  async #renewUnlessDone(stale, idOfLastFailure) {
    const session = await this.#holder.look();
    // Never repeat a request of one user with another user's token.
    if (session?.user.id !== stale.user.id) throw signedOutError();
    if (!isSameSession(session, stale)) return session; // Another tab or request has refreshed it.
    const failure = await this.#failure.latest();
    if (failure && failure.id !== idOfLastFailure) throw failure.error; // Another tab has tried meanwhile.
    return this.#refresh(session);
  }

  async #refresh(session) {
    await this.#started.set({ refreshing: session.renewedAt });
    try {
      return await this.#store(session, await this.exchange(session.refreshToken));
    } catch (error) {
      // Only a refusal of the refresh token ends the session.
      if (endsSession(error)) await this.#holder.end(error.code, session);
      else if (error.code !== "signed_out") await this.#failure.record(error);
      throw error;
    } finally {
      await this.#started.set(null);
    }
  }

  async #store(session, tokens) {
    const current = await this.#holder.look();
    // A sign-out or sign-in during the refresh takes precedence.
    if (!isOfSameSignIn(current, session)) throw signedOutError();
    // Another tab may have refreshed too: this one was suspended, or there are no locks. It got the same response.
    if (!isSameSession(current, session)) return current;
    const renewed = await this.#holder.replace({ ...session, ...tokens, renewedAt: Date.now() });
    await this.#failure.clear();
    const user = await this.fetchUser(renewed).catch(() => renewed.user);
    return this.#storeUser(renewed, user);
  }

  /** Store the user of a refreshed session: roles and names may have changed. */
  async #storeUser(renewed, user) {
    const current = await this.#holder.look();
    if (!isSameSession(current, renewed)) return current ?? renewed;
    const isChanged = user.id === renewed.user.id && JSON.stringify(user) !== JSON.stringify(renewed.user);
    const session = isChanged ? await this.#holder.replace({ ...renewed, user }) : renewed;
    this.#dispatch("refreshed", { user: session.user });
    return session;
  }
}

/** Run a task, and repeat it after the time that a failure asks for. */
export async function waitForRetryAfter(task) {
  for (let waits = 0; ; waits += 1) {
    try {
      return await task();
    } catch (error) {
      const seconds = error?.retryAfter;
      if (!seconds || seconds > MAX_RETRY_AFTER || waits === MAX_WAITS) throw error;
      await delay(seconds * 1000);
    }
  }
}
