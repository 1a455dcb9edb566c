// Keeps a user of the token authentication service signed in: in a browser, or wherever else `fetch` is.
// One module, no dependency. Its types are in auth-client.d.ts; how it is used is in README.md.

/** An access token is renewed so many seconds before its end, or a fifth of its life if that is less. */
const RENEWAL_MARGIN = 30;
/** After so many milliseconds a refresh whose response did not come is tried again, with the same token. */
const RETRY_DELAYS = [300, 1000, 3000];
/** An response that takes longer (ms) is given up. The service repeats an response for ten seconds: its grace. */
const RESPONSE_TIMEOUT = 8_000;
/** What `Retry-After` asks for is waited for within a request up to so many seconds. */
const MAX_RETRY_AFTER = 30;
/** What one tab wrote to localStorage another may read a moment later: a turn is stored for so long (ms). */
const STORAGE_SYNC_DELAY = 100;

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

/** What a call of this module fails with: a refusal by the service, or no response at all (`network_error`, status 0). */
export class AuthError extends Error {
  constructor(message, { code, status = 0, retryAfter = null, errors = {}, cause } = {}) {
    super(message, { cause });
    Object.assign(this, { name: "AuthError", code, status, retryAfter, errors });
  }
}

/**
 * One user's session, shared by all tabs whose clients have the same `storage` and `url`.
 *
 * Events: `signedin` {user}, `refreshed` {user}, `refreshfailed` {error}, `signedout` {reason, user}.
 */
export class AuthClient extends EventTarget {
  #base;
  #origins;
  #usesCookies;
  #storage;
  #fetch;
  #key;
  #pendingRenewal;
  #backoff = { until: 0 };

  constructor({ url = "/", transport = "body", storage, origins = [], fetch = globalThis.fetch } = {}) {
    super();
    const page = globalThis.location?.href;
    this.#base = new URL(url.endsWith("/") ? url : `${url}/`, page);
    this.#origins = new Set([this.#base, page, ...origins].filter(Boolean).map((one) => new URL(one).origin));
    this.#usesCookies = transport === "cookie";
    // With cookies no token is stored here, only whose session it is and when it ends.
    this.#storage = storage ?? (this.#usesCookies && globalThis.localStorage) ?? null;
    this.#storage ||= memoryStorage();
    this.#fetch = (...args) => fetch(...args);
    this.#key = `auth-client:${this.#base}`;
    globalThis.addEventListener?.("storage", this.#onStorage);
  }

  /** Stop following the other tabs. */
  close() {
    globalThis.removeEventListener?.("storage", this.#onStorage);
  }

  /** Who is signed in, since when, and without cookies the tokens; null when signed out. */
  async session() {
    try {
      return JSON.parse(await this.#storage.getItem(this.#key));
    } catch {
      return null; // What stands there is not ours.
    }
  }

  /** Make an account; it is not signed in yet. */
  signUp(fields) {
    return this.#post("auth/signup", fields);
  }

  /** Open a session; `username` may be an e-mail address. */
  async signIn({ username, password, ...others }) {
    const useCookies = this.#usesCookies || undefined;
    const response = await this.#post("auth/signin", { ...others, username, password, useCookies });
    return this.#startSession(response, response);
  }

  /** With cookies: take over a session that was opened elsewhere, as on a sister site. Null if there is none. */
  async resume() {
    const existing = await this.session();
    if (existing || !this.#usesCookies) return existing;
    try {
      const tokens = await this.#withLock(() => this.#retry(() => this.#post("auth/refreshtoken", {})));
      return await this.#startSession(tokens, await parseResponse(await this.#send(this.#request("GET", "auth/me"))));
    } catch (error) {
      if (endsSession(error) || error.code === "csrf_failed") return null;
      throw error;
    }
  }

  /** End this session, in every tab. Without cookies its tokens are forgotten even if the service is out of reach. */
  async signOut() {
    const session = await this.session();
    if (!session) return;
    if (!this.#usesCookies) await this.#endSession("signed_out", session);
    await this.#retry(() => this.#post("auth/signout", { refreshToken: session.refreshToken }));
    if (this.#usesCookies) await this.#endSession("signed_out", session);
  }

  /** End every session of the user, on all devices. */
  async signOutEverywhere() {
    const session = await this.session();
    await this.call("POST", "auth/signout-all");
    await this.#endSession("signed_out_everywhere", session);
  }

  /** Confirm the password, for what answers 403 `recent_authentication_required`. */
  async reauthenticate(password) {
    const response = await this.call("POST", "auth/reauthenticate", { password });
    return this.#withLock(async () => {
      const session = await this.session();
      if (!session) throw signedOutError();
      return this.#storeSession({ ...session, ...response }, "refreshed");
    });
  }

  /**
   * Renew the session, unless that was done since `stale`, the session that a refused request was signedRequest with.
   * All who ask meanwhile, in whichever tab, wait for the same one refresh.
   */
  async refresh(stale) {
    const session = stale ?? (await this.session());
    if (!session) throw signedOutError();
    return this.#renew(session);
  }

  /** Call an endpoint below /api/ and return what it answers: an object, or null where the response is empty. */
  async call(method, path, body) {
    return parseResponse(await this.fetch(this.#request(method, path, body)));
  }

  /**
   * `fetch`, with the session's access token. It is renewed shortly before its end, and when it is answered 401;
   * then the request is signedRequest once more. Other origins than the service's, the page's and `origins` are signedRequest no token.
   */
  async fetch(input, init) {
    const address = input instanceof Request ? input : new URL(input, globalThis.document?.baseURI ?? this.#base);
    const request = new Request(address, init);
    if (!this.#origins.has(new URL(request.url).origin)) return this.#fetch(request);
    const session = await this.fresh();
    const response = await this.#send(request.clone(), session);
    if (response.status !== 401 || !session) return response;
    await response.body?.cancel();
    return this.#send(request, await this.#renew(session));
  }

  /** The session, renewed if its token is about to end: for what is not signedRequest by `fetch`. Null when signed out. */
  async fresh() {
    const session = await this.session();
    if (!session || secondsLeft(session) > Math.min(RENEWAL_MARGIN, session.expiresIn / 5)) return session;
    try {
      return await this.#renew(session);
    } catch (error) {
      // It was too early to have to: the token is good for a moment yet.
      if (!endsSession(error) && secondsLeft(session) > 0) return session;
      throw error;
    }
  }

  #renew(stale) {
    this.#pendingRenewal ??= this.#withLock(() => this.#renewWithLock(stale)).finally(() => (this.#pendingRenewal = undefined));
    return this.#pendingRenewal;
  }

  async #renewWithLock(stale) {
    const session = await this.session();
    // Nobody's request is signedRequest again as somebody else's.
    if (session?.user.id !== stale.user.id) throw signedOutError();
    if (!isSameSession(session, stale)) return session; // Another tab, or a request before this one, has done it.
    if (Date.now() < this.#backoff.until) throw this.#backoff.error;
    const response = await this.#exchangeRefreshToken(session);
    const current = await this.session();
    // Whoever signed out or in meanwhile has the last word.
    if (current?.signedInAt !== session.signedInAt) throw signedOutError();
    if (!isSameSession(current, session)) return current; // Without Web Locks another tab was at it, and has the same response.
    return this.#storeSession({ ...session, ...response }, "refreshed");
  }

  /** Swap the refresh token. Only a refusal of it ends the session. */
  async #exchangeRefreshToken(session) {
    try {
      const { refreshToken } = session;
      return await this.#retry(() => this.#post("auth/refreshtoken", { refreshToken }));
    } catch (error) {
      if (endsSession(error)) await this.#endSession(error.code, session);
      else this.#dispatch("refreshfailed", { error });
      if (error.retryAfter) this.#backoff = { until: Date.now() + error.retryAfter * 1000, error };
      throw error;
    }
  }

  /** Do a task while no other tab does it. Without Web Locks two may: the service's grace gives them one response. */
  #withLock(task) {
    const locks = globalThis.navigator?.locks;
    if (!locks) return task();
    return new Promise((resolve, reject) => {
      locks.request(this.#key, async () => {
        await task().then(resolve, reject);
        await delay(STORAGE_SYNC_DELAY);
      });
    });
  }

  /** Do a task again if it failed for a reason that may pass. */
  async #retry(task) {
    for (const pause of RETRY_DELAYS) {
      try {
        return await task();
      } catch (error) {
        const isTemporary = error.status === 0 || error.status === 429 || error.status >= 500;
        if (!isTemporary || error.retryAfter > MAX_RETRY_AFTER) throw error;
        await delay(error.retryAfter ? error.retryAfter * 1000 : pause);
      }
    }
    return task();
  }

  #request(method, path, body) {
    return new Request(new URL(`api/${path}`, this.#base), {
      method,
      headers: body && { "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
      // Cookies that another client of this page has been given stay out of it.
      credentials: this.#usesCookies ? "include" : "omit",
    });
  }

  /** Call an endpoint that looks at no access token. */
  async #post(path, body) {
    const request = new Request(this.#request("POST", path, body), { signal: AbortSignal.timeout(RESPONSE_TIMEOUT) });
    return parseResponse(await this.#send(request));
  }

  async #send(request, session) {
    let signedRequest = request;
    if (this.#usesCookies) {
      signedRequest = new Request(request, { credentials: "include" });
      if (!SAFE_METHODS.has(request.method)) signedRequest.headers.set("X-CSRFToken", csrfToken());
    } else if (session) {
      signedRequest.headers.set("Authorization", `Bearer ${session.accessToken}`);
    }
    try {
      return await this.#fetch(signedRequest);
    } catch (error) {
      throw request.signal.aborted && error?.name !== "TimeoutError" ? error : networkError(error);
    }
  }

  #startSession(tokens, { id, username, email, fullname, roles }) {
    const { accessToken, refreshToken, expiresIn, refreshExpiresIn } = tokens;
    const user = { id, username, email, fullname, roles };
    const session = { user, signedInAt: Date.now(), accessToken, refreshToken, expiresIn, refreshExpiresIn };
    return this.#storeSession(session, "signedin");
  }

  async #storeSession(session, event) {
    const stored = { ...session, renewedAt: Date.now() };
    await this.#storage.setItem(this.#key, JSON.stringify(stored));
    this.#dispatch(event, { user: stored.user });
    return stored;
  }

  async #endSession(reason, session) {
    // A sign-in that came in between is not undone by what became of the session before.
    if ((await this.session())?.signedInAt !== session.signedInAt) return;
    await this.#storage.removeItem(this.#key);
    this.#dispatch("signedout", { reason, user: session.user });
  }

  #dispatch(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }

  /** Another tab wrote to the storage that all share. */
  #onStorage = ({ key, oldValue, newValue, storageArea }) => {
    if (storageArea !== this.#storage || (key !== null && key !== this.#key)) return;
    const [before, after] = [oldValue, newValue].map((text) => JSON.parse(text ?? "null"));
    if (!after) this.#dispatch("signedout", { reason: "other_tab", user: before?.user ?? null });
    else this.#dispatch(before?.user.id === after.user.id ? "refreshed" : "signedin", { user: after.user });
  };
}

function memoryStorage() {
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, text) => items.set(key, text),
    removeItem: (key) => items.delete(key),
  };
}

function delay(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

function secondsLeft({ renewedAt, expiresIn }) {
  return expiresIn - (Date.now() - renewedAt) / 1000;
}

function isSameSession(one, other) {
  return one?.renewedAt === other.renewedAt && one.accessToken === other.accessToken;
}

/** Whether a refresh was refused for good. Everything else, a proxy's 403 as well, leaves the session as it is. */
function endsSession(error) {
  return error.status === 403 && error.code.startsWith("refresh_token_");
}

function csrfToken() {
  return globalThis.document?.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
}

async function parseResponse(response) {
  const isJson = response.headers.get("Content-Type")?.includes("json");
  const content = await (isJson ? response.json() : response.text()).catch((error) => {
    throw networkError(error); // The response was cut short.
  });
  if (response.ok) return content || null;
  const { message = `Status ${response.status}`, code = "unexpected_answer", errors } = isJson ? content : {};
  throw new AuthError(message, { code, status: response.status, retryAfter: retryAfter(response), errors });
}

/** Seconds, which the header says as a number or as a date (RFC 9110 section 10.2.3). */
function retryAfter(response) {
  const value = response.headers.get("Retry-After");
  if (value === null) return null;
  const seconds = Number(value) || (Date.parse(value) - Date.now()) / 1000;
  return seconds > 0 ? Math.ceil(seconds) : null;
}

function networkError(cause) {
  return new AuthError("The service cannot be reached.", { code: "network_error", cause });
}

function signedOutError() {
  return new AuthError("Nobody is signed in.", { code: "signed_out" });
}
