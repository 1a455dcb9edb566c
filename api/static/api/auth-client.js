// Keeps a user of the token authentication service signed in: in a browser, or wherever else `fetch` is.
// One module, no dependency. Its types are in auth-client.d.ts; how it is used is in README.md.

/** An access token is renewed so many seconds before its end, or a fifth of its life if that is less. */
const EARLY = 30;
/** After so many milliseconds a refresh whose answer did not come is tried again, with the same token. */
const PAUSES = [300, 1000, 3000];
/** An answer that takes longer (ms) is given up. The service repeats an answer for ten seconds: its grace. */
const PATIENCE = 8_000;
/** What `Retry-After` asks for is waited for within a request up to so many seconds. */
const LONGEST_WAIT = 30;
/** What one tab wrote to localStorage another may read a moment later: a turn is kept for so long (ms). */
const SETTLING = 100;

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

/** What a call of this module fails with: a refusal by the service, or no answer at all (`network_error`, status 0). */
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
  #inCookies;
  #storage;
  #fetch;
  #key;
  #renewing;
  #rest = { until: 0 };

  constructor({ url = "/", transport = "body", storage, origins = [], fetch = globalThis.fetch } = {}) {
    super();
    const page = globalThis.location?.href;
    this.#base = new URL(url.endsWith("/") ? url : `${url}/`, page);
    this.#origins = new Set([this.#base, page, ...origins].filter(Boolean).map((one) => new URL(one).origin));
    this.#inCookies = transport === "cookie";
    // With cookies no token is kept here, only whose session it is and when it ends.
    this.#storage = storage ?? (this.#inCookies && globalThis.localStorage) ?? null;
    this.#storage ||= memory();
    this.#fetch = (...given) => fetch(...given);
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
    const useCookies = this.#inCookies || undefined;
    const answer = await this.#post("auth/signin", { ...others, username, password, useCookies });
    return this.#begin(answer, answer);
  }

  /** With cookies: take over a session that was opened elsewhere, as on a sister site. Null if there is none. */
  async resume() {
    const known = await this.session();
    if (known || !this.#inCookies) return known;
    try {
      const tokens = await this.#alone(() => this.#insist(() => this.#post("auth/refreshtoken", {})));
      return await this.#begin(tokens, await contentOf(await this.#send(this.#request("GET", "auth/me"))));
    } catch (error) {
      if (isEnd(error) || error.code === "csrf_failed") return null;
      throw error;
    }
  }

  /** End this session, in every tab. Without cookies its tokens are forgotten even if the service is out of reach. */
  async signOut() {
    const session = await this.session();
    if (!session) return;
    if (!this.#inCookies) await this.#end("signed_out", session);
    await this.#insist(() => this.#post("auth/signout", { refreshToken: session.refreshToken }));
    if (this.#inCookies) await this.#end("signed_out", session);
  }

  /** End every session of the user, on all devices. */
  async signOutEverywhere() {
    const session = await this.session();
    await this.call("POST", "auth/signout-all");
    await this.#end("signed_out_everywhere", session);
  }

  /** Confirm the password, for what answers 403 `recent_authentication_required`. */
  async reauthenticate(password) {
    const answer = await this.call("POST", "auth/reauthenticate", { password });
    return this.#alone(async () => {
      const session = await this.session();
      if (!session) throw signedOut();
      return this.#keep({ ...session, ...answer }, "refreshed");
    });
  }

  /**
   * Renew the session, unless that was done since `stale`, the session that a refused request was sent with.
   * All who ask meanwhile, in whichever tab, wait for the same one refresh.
   */
  async refresh(stale) {
    const session = stale ?? (await this.session());
    if (!session) throw signedOut();
    return this.#renew(session);
  }

  /** Call an endpoint below /api/ and return what it answers: an object, or null where the answer is empty. */
  async call(method, path, body) {
    return contentOf(await this.fetch(this.#request(method, path, body)));
  }

  /**
   * `fetch`, with the session's access token. It is renewed shortly before its end, and when it is answered 401;
   * then the request is sent once more. Other origins than the service's, the page's and `origins` are sent no token.
   */
  async fetch(input, init) {
    const address = input instanceof Request ? input : new URL(input, globalThis.document?.baseURI ?? this.#base);
    const request = new Request(address, init);
    if (!this.#origins.has(new URL(request.url).origin)) return this.#fetch(request);
    const session = await this.fresh();
    const answer = await this.#send(request.clone(), session);
    if (answer.status !== 401 || !session) return answer;
    await answer.body?.cancel();
    return this.#send(request, await this.#renew(session));
  }

  /** The session, renewed if its token is about to end: for what is not sent by `fetch`. Null when signed out. */
  async fresh() {
    const session = await this.session();
    if (!session || secondsLeft(session) > Math.min(EARLY, session.expiresIn / 5)) return session;
    try {
      return await this.#renew(session);
    } catch (error) {
      // It was too early to have to: the token is good for a moment yet.
      if (!isEnd(error) && secondsLeft(session) > 0) return session;
      throw error;
    }
  }

  #renew(stale) {
    this.#renewing ??= this.#alone(() => this.#renewAlone(stale)).finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  async #renewAlone(stale) {
    const session = await this.session();
    // Nobody's request is sent again as somebody else's.
    if (session?.user.id !== stale.user.id) throw signedOut();
    if (!isSame(session, stale)) return session; // Another tab, or a request before this one, has done it.
    if (Date.now() < this.#rest.until) throw this.#rest.error;
    const answer = await this.#exchange(session);
    const current = await this.session();
    // Whoever signed out or in meanwhile has the last word.
    if (current?.signedInAt !== session.signedInAt) throw signedOut();
    if (!isSame(current, session)) return current; // Without Web Locks another tab was at it, and has the same answer.
    return this.#keep({ ...session, ...answer }, "refreshed");
  }

  /** Swap the refresh token. Only a refusal of it ends the session. */
  async #exchange(session) {
    try {
      const { refreshToken } = session;
      return await this.#insist(() => this.#post("auth/refreshtoken", { refreshToken }));
    } catch (error) {
      if (isEnd(error)) await this.#end(error.code, session);
      else this.#tell("refreshfailed", { error });
      if (error.retryAfter) this.#rest = { until: Date.now() + error.retryAfter * 1000, error };
      throw error;
    }
  }

  /** Do a task while no other tab does it. Without Web Locks two may: the service's grace gives them one answer. */
  #alone(task) {
    const locks = globalThis.navigator?.locks;
    if (!locks) return task();
    return new Promise((resolve, reject) => {
      locks.request(this.#key, async () => {
        await task().then(resolve, reject);
        await delay(SETTLING);
      });
    });
  }

  /** Do a task again if it failed for a reason that may pass. */
  async #insist(task) {
    for (const pause of PAUSES) {
      try {
        return await task();
      } catch (error) {
        const mayPass = error.status === 0 || error.status === 429 || error.status >= 500;
        if (!mayPass || error.retryAfter > LONGEST_WAIT) throw error;
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
      credentials: this.#inCookies ? "include" : "omit",
    });
  }

  /** Call an endpoint that looks at no access token. */
  async #post(path, body) {
    const request = new Request(this.#request("POST", path, body), { signal: AbortSignal.timeout(PATIENCE) });
    return contentOf(await this.#send(request));
  }

  async #send(request, session) {
    let sent = request;
    if (this.#inCookies) {
      sent = new Request(request, { credentials: "include" });
      if (!SAFE_METHODS.has(request.method)) sent.headers.set("X-CSRFToken", csrfToken());
    } else if (session) {
      sent.headers.set("Authorization", `Bearer ${session.accessToken}`);
    }
    try {
      return await this.#fetch(sent);
    } catch (error) {
      throw request.signal.aborted && error?.name !== "TimeoutError" ? error : unreachable(error);
    }
  }

  #begin(tokens, { id, username, email, fullname, roles }) {
    const { accessToken, refreshToken, expiresIn, refreshExpiresIn } = tokens;
    const user = { id, username, email, fullname, roles };
    const session = { user, signedInAt: Date.now(), accessToken, refreshToken, expiresIn, refreshExpiresIn };
    return this.#keep(session, "signedin");
  }

  async #keep(session, event) {
    const kept = { ...session, renewedAt: Date.now() };
    await this.#storage.setItem(this.#key, JSON.stringify(kept));
    this.#tell(event, { user: kept.user });
    return kept;
  }

  async #end(reason, session) {
    // A sign-in that came in between is not undone by what became of the session before.
    if ((await this.session())?.signedInAt !== session.signedInAt) return;
    await this.#storage.removeItem(this.#key);
    this.#tell("signedout", { reason, user: session.user });
  }

  #tell(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }

  /** Another tab wrote to the storage that all share. */
  #onStorage = ({ key, oldValue, newValue, storageArea }) => {
    if (storageArea !== this.#storage || (key !== null && key !== this.#key)) return;
    const [before, after] = [oldValue, newValue].map((text) => JSON.parse(text ?? "null"));
    if (!after) this.#tell("signedout", { reason: "other_tab", user: before?.user ?? null });
    else this.#tell(before?.user.id === after.user.id ? "refreshed" : "signedin", { user: after.user });
  };
}

function memory() {
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

function isSame(one, other) {
  return one?.renewedAt === other.renewedAt && one.accessToken === other.accessToken;
}

/** Whether a refresh was refused for good. Everything else, a proxy's 403 as well, leaves the session as it is. */
function isEnd(error) {
  return error.status === 403 && error.code.startsWith("refresh_token_");
}

function csrfToken() {
  return globalThis.document?.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
}

async function contentOf(response) {
  const isJson = response.headers.get("Content-Type")?.includes("json");
  const content = await (isJson ? response.json() : response.text()).catch((error) => {
    throw unreachable(error); // The answer was cut short.
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

function unreachable(cause) {
  return new AuthError("The service cannot be reached.", { code: "network_error", cause });
}

function signedOut() {
  return new AuthError("Nobody is signed in.", { code: "signed_out" });
}
