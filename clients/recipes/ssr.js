// Server-side rendering (Node) behind one host: a proxy routes /api/ to the service, and RENEW and all other paths here.
//   createServer(site({ service: "http://127.0.0.1:8000", render: (me, path) => `<h1>Hello, ${escape(me.username)}</h1>` }))
//
// The browser sends the access cookie with each page, but the refresh cookie to /api/auth only. If a refresh is needed, the
// browser is redirected to RENEW, which is below that path, and from there back to the page.

export const RENEW = "/api/auth/renew";
const SIGN_IN = "/sign-in";
const REFRESHABLE = new Set(["token_expired", "token_stale", "token_invalid"]);
const SIGN_IN_REQUIRED = new Set(["token_missing", "token_revoked"]);
const UNAVAILABLE = "Try again in a moment.";

/**
 * @typedef {import("node:http").IncomingMessage} IncomingMessage
 * @typedef {import("node:http").ServerResponse} ServerResponse
 * @typedef {(user: import("@authproject/client").User, path: string) => string} Render
 *
 * @param {{ service: string, render: Render }} options
 * @returns {(request: IncomingMessage, response: ServerResponse) => Promise<void>}
 */
export function site({ service, render }) {
  return (request, response) =>
    handle(service, render, request, response).catch((error) => {
      console.error(error);
      send(response, 503, { "Retry-After": "5" }, UNAVAILABLE);
    });
}

/** @param {string} service @param {Render} render @param {IncomingMessage} request @param {ServerResponse} response */
async function handle(service, render, request, response) {
  const { pathname, search, searchParams } = new URL(request.url ?? "/", "http://here");
  if (pathname === RENEW) return renew(service, request, response, searchParams.get("next"));

  const me = await fetch(`${service}/api/auth/me`, { headers: forwarded(request) });
  if (me.ok)
    return send(response, 200, { "Content-Type": "text/html; charset=utf-8" }, render(await me.json(), pathname));
  const { code } = await me.json();
  const next = encodeURIComponent(pathname + search);
  if (REFRESHABLE.has(code)) return send(response, 303, { Location: `${RENEW}?next=${next}` });
  if (SIGN_IN_REQUIRED.has(code)) return send(response, 303, { Location: `${SIGN_IN}?next=${next}` });
  return unavailable(me, response); // mainly 429 and 503
}

/** @param {string} service @param {IncomingMessage} request @param {ServerResponse} response @param {string | null} next */
async function renew(service, request, response, next) {
  const csrfToken = request.headers.cookie?.match(/(?:^|; )(?:__(?:Host|Secure)-)?csrftoken=([^;]+)/)?.[1] ?? "";
  const headers = { ...forwarded(request), "X-CSRFToken": csrfToken };
  const refreshed = await fetch(`${service}/api/auth/refreshtoken`, { method: "POST", headers });
  const cookies = { "Set-Cookie": refreshed.headers.getSetCookie(), "Cache-Control": "no-store" };
  // Allow only a path on this host: no //evil.example, and no backslash, which browsers treat as a slash.
  const back = next !== null && /^\/(?![/\\])/.test(next) ? next : "/";
  if (refreshed.ok) return send(response, 303, { ...cookies, Location: back });
  if (refreshed.status !== 403) return unavailable(refreshed, response);
  return send(response, 303, { ...cookies, Location: `${SIGN_IN}?next=${encodeURIComponent(back)}` });
}

/** @param {IncomingMessage} request */
function forwarded({ headers, socket }) {
  // The service uses this address if this server is in its AUTH_TRUSTED_PROXIES.
  const { cookie = "", "user-agent": userAgent = "" } = headers;
  return { cookie, "user-agent": userAgent, "x-forwarded-for": socket.remoteAddress ?? "" };
}

/** @param {Response} upstream @param {ServerResponse} response */
function unavailable(upstream, response) {
  const retryAfter = upstream.headers.get("Retry-After");
  send(response, 503, retryAfter ? { "Retry-After": retryAfter } : {}, UNAVAILABLE);
}

/** @param {ServerResponse} response @param {number} status @param {import("node:http").OutgoingHttpHeaders} headers */
function send(response, status, headers, body = "") {
  response.writeHead(status, { "Cache-Control": "private, no-store", ...headers });
  response.end(body);
}
