// Client of the token authentication service, for browsers and other environments with `fetch`. Keeps a user signed in.
import { AuthError, endsSession, signedOutError } from "./errors.js";
import { Lock } from "./lock.js";
import { REFRESH_PATIENCE, Renewal, waitForRetryAfter } from "./renewal.js";
import { Requests } from "./requests.js";
import { parseAccess, parseAny, parseNothing, parseSignUp, parseTokens, parseUser, readResponse } from "./responses.js";
import { challengeOf, parseOptions } from "./second-factor.js";
import { isOfSameSignIn, SessionHolder } from "./session-holder.js";
import { openStorage } from "./stored-value.js";
import { abortable } from "./waiting.js";

export { AuthError };

/** Seconds before its expiry at which an access token is renewed; at most a fifth of its lifetime. */
const RENEWAL_MARGIN = 30;
/** Milliseconds to wait for another tab before a sign-in with cookies: longer than any refresh. */
const COOKIE_PATIENCE = 16_000;
/** Milliseconds between checks whether the storage was cleared in this tab, which dispatches no event here. */
const CHECK_INTERVAL = 1_000;

/**
 * A session of one user, shared by all tabs whose clients have the same `storage` and `url`.
 *
 * Events: `signedin` {user}, `refreshed` {user}, `refreshfailed` {error}, `signedout` {reason, user}.
 */
export class AuthClient extends EventTarget {
  #base;
  #origins;
  #usesCookies;
  #storage;
  #key;
  #requests;
  #lock;
  #holder;
  #renewal;
  #timer;

  constructor({ url = "/", transport = "body", storage, origins = [], fetch = globalThis.fetch } = {}) {
    super();
    const page = globalThis.location?.href;
    this.#base = new URL(url.endsWith("/") ? url : `${url}/`, page);
    this.#origins = new Set([this.#base, page, ...origins].filter(Boolean).map((one) => new URL(one).origin));
    this.#usesCookies = transport === "cookie";
    this.#key = `auth-client:${this.#base}`;
    // With cookies, only the user and the expiry are stored here, and no token.
    this.#storage = openStorage(storage ?? (this.#usesCookies ? () => globalThis.localStorage : null));
    this.#requests = new Requests(this.#base, this.#usesCookies, fetch);
    this.#connect();
    this.#watch();
  }

  /** Stop listening to other tabs. */
  close() {
    globalThis.removeEventListener?.("storage", this.#onStorage);
    clearInterval(this.#timer);
  }

  /** Return the session (user, times and, without cookies, tokens), or null if no user is signed in. */
  session() {
    return this.#holder.look();
  }

  /** Create an account. This does not sign in. */
  async signUp(fields, { signal } = {}) {
    return this.#requests.post("auth/signup", fields, { parse: parseSignUp, signal });
  }

  /**
   * Sign in with {username, password}, where `username` may be an email address, or with {passkey}, the browser's response to
   * `passkeyOptions`. Return the session, or {secondFactor}, a challenge for `completeSignIn`, if the account has a factor.
   */
  async signIn({ passkey, ...fields }, { signal } = {}) {
    const body = { ...fields, credential: passkey, useCookies: this.#usesCookies || undefined };
    try {
      return await this.#signInAt(passkey ? "auth/signin/passkey" : "auth/signin", body, signal);
    } catch (error) {
      const secondFactor = challengeOf(error);
      if (!secondFactor) throw error;
      return { secondFactor };
    }
  }

  /** Answer the challenge of a sign-in with {code}, {recoveryCode} or {passkey}. A wrong answer may be repeated. */
  async completeSignIn({ authSession }, answer, { signal } = {}) {
    return this.#signInAt("auth/signin/second-factor", { ...answer, authSession }, signal);
  }

  /** Return options to sign in with a passkey alone, as PublicKeyCredentialRequestOptionsJSON. */
  async passkeyOptions({ signal } = {}) {
    return this.#requests.post("auth/signin/passkey/options", undefined, { parse: parseOptions, signal });
  }

  /** With cookies: continue a session that was started elsewhere, as on a sibling subdomain. Return null if there is none. */
  async resume({ signal } = {}) {
    const existing = await abortable(this.session(), signal);
    if (existing || !this.#usesCookies) return existing;
    try {
      return await this.#inTurn(REFRESH_PATIENCE, signal, async () => {
        const tokens = await this.#renewal.exchange();
        return this.#startSession(await this.#renewal.fetchUser(), tokens);
      });
    } catch (error) {
      if (isRefusal(error)) return null;
      throw error;
    }
  }

  /**
   * Sign out in every tab. The service is asked even if the session is not stored any more. Without cookies, the tokens are
   * deleted even if the service cannot be reached.
   */
  async signOut({ signal } = {}) {
    const session = (await abortable(this.session(), signal)) ?? this.#holder.lost;
    if (this.#usesCookies) return this.#signOutByCookie(session, signal);
    if (!session) return;
    await this.#holder.end("signed_out", session);
    this.#holder.lost = session;
    await this.#postSignOut({ refreshToken: session.refreshToken }, signal);
    this.#holder.lost = null;
  }

  /** Sign out on all devices. */
  async signOutEverywhere({ signal } = {}) {
    const session = await abortable(this.session(), signal);
    if (!session) return abortable(this.#signOutEverywhereUnstored(), signal);
    await this.#call("POST", "auth/signout-all", undefined, parseNothing, signal);
    await this.#holder.end("signed_out_everywhere", session);
  }

  /** Confirm the password after a 403 `recent_authentication_required`. */
  async reauthenticate(password, options) {
    return this.stepUp({ password }, options);
  }

  /**
   * Confirm {password}, {code}, {recoveryCode} or {passkey} after a 403 `recent_authentication_required`; one of the latter
   * three after a 403 `second_factor_required`.
   */
  async stepUp(answer, { signal } = {}) {
    const before = await abortable(this.session(), signal);
    const parse = (content) => parseAccess(content, this.#usesCookies);
    const access = await this.#call("POST", "auth/reauthenticate", answer, parse, signal);
    return this.#inTurn(REFRESH_PATIENCE, signal, async () => {
      const session = await this.session();
      if (!session || !isOfSameSignIn(before, session)) throw signedOutError();
      return this.#holder.store({ ...session, ...access }, "refreshed");
    });
  }

  /**
   * Refresh the session, unless it was refreshed since `stale`, the session that a refused request was sent with.
   * Simultaneous calls, in any tab, wait for the same refresh.
   */
  async refresh(stale, { signal } = {}) {
    const session = stale ?? (await abortable(this.session(), signal));
    if (!session) throw signedOutError();
    return abortable(this.#renewal.renew(session), signal);
  }

  /** Call an endpoint below /api/. Return the parsed response, or null if it is empty. */
  async call(method, path, body, { signal } = {}) {
    return this.#call(method, path, body, parseAny, signal);
  }

  /**
   * `fetch` with the session's access token. The token is renewed shortly before it expires, and after a 401, in which
   * case the request is repeated once. Only the service, the page's origin and `origins` receive the token.
   */
  async fetch(input, init) {
    const address = input instanceof Request ? input : new URL(input, globalThis.document?.baseURI ?? this.#base);
    const request = new Request(address, init);
    // Not the request's own signal: Node may collect what connects it to the caller's.
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
    if (!this.#origins.has(new URL(request.url).origin)) return this.#requests.forward(request, signal);
    const session = await this.fresh({ signal });
    const response = await this.#requests.send(request.clone(), session, signal);
    if (response.status !== 401 || !session) return response;
    await response.body?.cancel();
    return this.#requests.send(request, await this.refresh(session, { signal }), signal);
  }

  /** Return the session, refreshed if its token is about to expire, for requests that are not sent with `fetch`. */
  async fresh({ signal } = {}) {
    const session = await abortable(this.session(), signal);
    if (!session || secondsLeft(session) > Math.min(RENEWAL_MARGIN, session.expiresIn / 5)) return session;
    try {
      return await this.refresh(session, { signal });
    } catch (error) {
      // The renewal was early; the current token is still valid.
      if (mayPass(error) && secondsLeft(session) > 0) return session;
      throw error;
    }
  }

  async #call(method, path, body, parse, signal) {
    const response = await this.fetch(this.#requests.build(method, path, body, { signal }));
    return readResponse(response, parse, signal);
  }

  /** Run a task while no other tab does. */
  #inTurn(patience, signal, task) {
    return this.#lock.run(task, { patience, signal });
  }

  #signInAt(path, body, signal) {
    const parse = (content) => {
      const [user, tokens] = [parseUser(content), parseTokens(content, this.#usesCookies)];
      return user && tokens && { user, tokens };
    };
    // The late response to another tab's refresh would overwrite the cookies of this sign-in.
    const patience = this.#usesCookies ? COOKIE_PATIENCE : REFRESH_PATIENCE;
    return this.#inTurn(patience, signal, async () => {
      const { user, tokens } = await this.#requests.post(path, body, { parse, signal });
      return this.#startSession(user, tokens);
    });
  }

  async #startSession(user, tokens) {
    await this.#renewal.forgetFailure();
    this.#holder.lost = null;
    return this.#holder.store({ user, signedInAt: Date.now(), ...tokens }, "signedin");
  }

  #signOutByCookie(session, signal) {
    return this.#inTurn(REFRESH_PATIENCE, signal, async () => {
      await this.#postSignOut({}, signal).catch((error) => {
        if (error?.status !== 401) throw error; // Otherwise, there is no session in the cookies.
      });
      if (session) await this.#holder.end("signed_out", session);
    });
  }

  #postSignOut(body, signal) {
    const post = () => this.#requests.postRepeatedly("auth/signout", body, { parse: parseNothing, signal });
    return abortable(waitForRetryAfter(post), signal);
  }

  /** Sign out everywhere although the session is not stored: it is in cookies, or was stored until now. */
  async #signOutEverywhereUnstored() {
    const refreshToken = this.#holder.lost?.refreshToken;
    await this.#inTurn(REFRESH_PATIENCE, undefined, async () => {
      const tokens = await this.#renewal.exchange(refreshToken);
      await this.#requests.callSigned("POST", "auth/signout-all", tokens, parseNothing);
    });
    this.#holder.lost = null;
  }

  #connect() {
    const dispatch = (event, detail) => this.dispatchEvent(new CustomEvent(event, { detail }));
    const [storage, key, requests] = [this.#storage, this.#key, this.#requests];
    const holder = new SessionHolder(storage, key, dispatch);
    this.#holder = holder;
    this.#lock = new Lock(key, () => holder.version + this.#renewal.version);
    const usesCookies = this.#usesCookies;
    this.#renewal = new Renewal({ holder, requests, lock: this.#lock, dispatch, usesCookies, storage, key });
  }

  #watch() {
    this.#renewal.finish();
    globalThis.addEventListener?.("storage", this.#onStorage);
    if (!globalThis.document?.visibilityState) return;
    this.#timer = setInterval(() => {
      if (this.#holder.isKnown && document.visibilityState === "visible") this.session();
    }, CHECK_INTERVAL);
    this.#timer.unref?.(); // In Node, with the document of a test, the timer must not keep the process alive.
  }

  /** Another tab has changed the shared storage. */
  #onStorage = ({ key, oldValue, storageArea }) => {
    if (storageArea !== this.#storage) return;
    if (key === null || key === this.#key) this.#holder.onChange(oldValue);
    else if (key === `${this.#key}:failure`) this.#renewal.noteFailure();
    else if (key === `${this.#key}:refreshing`) this.#renewal.finish();
  };
}

function secondsLeft({ renewedAt, expiresIn }) {
  return expiresIn - (Date.now() - renewedAt) / 1000;
}

/** Return whether a failure to refresh leaves the session as it is. */
function mayPass(error) {
  return error instanceof AuthError && error.code !== "signed_out" && !endsSession(error);
}

/** Return whether the service refuses the cookies: there is no session in them. */
function isRefusal(error) {
  return error instanceof AuthError && (endsSession(error) || error.code === "csrf_failed");
}
