import { AuthError, isTemporary, networkError } from "./errors.js";
import { parseAny, readResponse } from "./responses.js";
import { abortable, delay, withTimeout } from "./waiting.js";

/** Milliseconds to wait for a response: half of the service's grace period (10 s), within which a retry succeeds. */
const RESPONSE_TIMEOUT = 5_000;
/** Milliseconds to wait for the response to a sign-in, for which there is no retry. */
const PASSWORD_TIMEOUT = 8_000;
/** Milliseconds before each retry of a request without a response. Retries send the same refresh token. */
const RETRY_DELAYS = [300, 1000, 3000];
/** Milliseconds after which no retry starts. A refresh that the service has executed cannot be repeated much later. */
const RETRY_PERIOD = 8_000;

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

/** Sends requests to the service, with the session's token or with cookies. */
export class Requests {
  #base;
  #usesCookies;
  #fetch;

  constructor(base, usesCookies, fetch) {
    this.#base = base;
    this.#usesCookies = usesCookies;
    this.#fetch = async (request) => fetch(request);
  }

  /** Return a request to an endpoint below /api/. */
  build(method, path, body, options) {
    return new Request(new URL(`api/${path}`, this.#base), {
      method,
      headers: body && { "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
      // Without the cookie transport, do not send cookies of another client on this page.
      credentials: this.#usesCookies ? "include" : "omit",
      ...options,
    });
  }

  /** Call an endpoint that ignores access tokens, and return its response after `parse`. Throws AuthError. */
  post(path, body, { parse, signal, timeout = PASSWORD_TIMEOUT } = {}) {
    return this.#call("POST", path, { body, parse, signal, timeout });
  }

  /** `post`, with retries after temporary failures. A failure with `Retry-After` is thrown. */
  async postRepeatedly(path, body, { parse, signal } = {}) {
    const end = performance.now() + RETRY_PERIOD;
    const attempt = () => this.post(path, body, { parse, signal, timeout: RESPONSE_TIMEOUT });
    for (const pause of RETRY_DELAYS) {
      try {
        return await attempt();
      } catch (error) {
        if (!isTemporary(error) || error.retryAfter || performance.now() + pause > end) throw error;
      }
      await abortable(delay(pause), signal);
    }
    return attempt();
  }

  /**
   * `postRepeatedly` with cookies. If the page is closed before the response, the request is repeated once more, and the browser
   * stores the cookies of that response.
   */
  async postPastClosing(path, options) {
    // Not `keepalive` from the start: Chromium stores the cookies of a late response although the request was aborted, and a
    // sign-in may have set other cookies since.
    const repeat = () => this.forward(this.#sign(this.build("POST", path, {}, { keepalive: true }))).catch(() => {});
    globalThis.addEventListener?.("pagehide", repeat);
    try {
      return await this.postRepeatedly(path, {}, options);
    } finally {
      globalThis.removeEventListener?.("pagehide", repeat);
    }
  }

  /** Call an endpoint with the session's access token, and return its response after `parse`. Throws AuthError. */
  callSigned(method, path, session, parse) {
    return this.#call(method, path, { session, parse, timeout: RESPONSE_TIMEOUT });
  }

  /** Send a request with the session's access token. Throws AuthError, or the reason of `signal`. */
  send(request, session, signal) {
    return this.forward(this.#sign(request, session), signal);
  }

  /** Send a request as it is. Throws AuthError, or the reason of `signal`. */
  async forward(request, signal) {
    try {
      return await abortable(this.#fetch(request), signal);
    } catch (error) {
      throw signal?.aborted ? signal.reason : networkError(error);
    }
  }

  async #call(method, path, { body, session, parse = parseAny, signal, timeout }) {
    const exchange = async (either) => {
      // A redirect would send the password or the token elsewhere.
      const options = { signal: either, redirect: "error" };
      const request = this.build(method, path, body, options);
      return readResponse(await this.send(request, session, either), parse, either);
    };
    try {
      return await withTimeout(timeout, signal, exchange);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw error instanceof AuthError ? error : networkError(error);
    }
  }

  #sign(request, session) {
    if (!this.#usesCookies) {
      if (session) request.headers.set("Authorization", `Bearer ${session.accessToken}`);
      return request;
    }
    const signed = new Request(request, { credentials: "include" });
    if (!SAFE_METHODS.has(request.method)) signed.headers.set("X-CSRFToken", csrfToken());
    return signed;
  }
}

/** Return the service's own CSRF token, or else `csrftoken`, which another Django site of the domain may have set. */
function csrfToken() {
  const cookies = readCookies();
  const own = cookies.match(/(?:^|; )__(?:Host|Secure)-csrftoken=([^;]+)/);
  return (own ?? cookies.match(/(?:^|; )csrftoken=([^;]+)/))?.[1] ?? "";
}

function readCookies() {
  try {
    return globalThis.document?.cookie ?? "";
  } catch {
    return ""; // A sandboxed frame has no cookies.
  }
}
