// Mobile apps (React Native, Expo). Needs only fetch and a secure store. Usage:
//   const auth = mobileAuth({ url, store: SecureStore, onSignedOut: (code) => navigation.navigate("SignIn", { code }) });
// SecureStore is expo-secure-store, or an object with getItemAsync, setItemAsync and deleteItemAsync.

const KEY = "auth-session";
const RETRY_DELAYS = [300, 1000, 3000, 0]; // milliseconds; the service repeats a response for ten seconds
const MAX_RETRY_AFTER = 30_000; // milliseconds; do not wait longer for Retry-After

/**
 * @typedef {{ accessToken: string, refreshToken: string }} Session
 * @typedef {object} Store
 * @property {(key: string) => Promise<string | null>} getItemAsync
 * @property {(key: string, text: string) => Promise<void>} setItemAsync
 * @property {(key: string) => Promise<void>} deleteItemAsync
 *
 * @param {{ url: string, store: Store, onSignedOut?: (code: string) => void, fetch?: typeof globalThis.fetch }} options
 */
export function mobileAuth({ url, store, onSignedOut = () => {}, fetch = globalThis.fetch }) {
  /** @type {Promise<Session | null> | undefined} */
  let renewing;

  /** @returns {Promise<Session | null>} */
  const read = async () => JSON.parse((await store.getItemAsync(KEY)) ?? "null");
  const post = (/** @type {string} */ path, /** @type {object} */ body) =>
    fetch(`${url}/api/auth/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });

  /** @param {Response} response */
  async function storeSession(response) {
    const { accessToken, refreshToken } = await response.json();
    if (!accessToken || !refreshToken) throw new Error("The response has no tokens.");
    const session = { accessToken, refreshToken };
    await store.setItemAsync(KEY, JSON.stringify(session));
    return session;
  }

  /** @param {string} username @param {string} password */
  async function signIn(username, password) {
    const response = await post("signin", { username, password });
    if (response.ok) await storeSession(response);
    return response;
  }

  /**
   * Complete a sign-in whose response was 403 `second_factor_required`. Its body has the `authSession`.
   *
   * @param {string} authSession
   * @param {{ code: string } | { recoveryCode: string }} answer
   */
  async function completeSignIn(authSession, answer) {
    const response = await post("signin/second-factor", { authSession, ...answer });
    if (response.ok) await storeSession(response);
    return response;
  }

  async function signOut() {
    const session = await read();
    await store.deleteItemAsync(KEY);
    if (session) await post("signout", { refreshToken: session.refreshToken });
  }

  /**
   * Exchange the refresh token, and retry if the response is lost. Return null if the session has ended.
   *
   * @param {string} refreshToken
   * @returns {Promise<Session | null>}
   */
  async function exchange(refreshToken) {
    for (const pause of RETRY_DELAYS) {
      const response = await post("refreshtoken", { refreshToken }).catch(() => null);
      // A public network may respond with its own page. Only the service's refusal of the token ends the session.
      const session = response?.ok ? await storeSession(response).catch(() => null) : null;
      if (session) return session;
      const { code } = response?.status === 403 ? await response.json().catch(() => ({})) : {};
      if (code?.startsWith("refresh_token_")) return end(code);
      const wait = Number(response?.headers.get("Retry-After")) * 1000 || pause;
      if (wait > MAX_RETRY_AFTER) break;
      await new Promise((done) => setTimeout(done, wait));
    }
    throw new Error("The session could not be renewed. Try again later.");
  }

  /** @param {string} code */
  async function end(code) {
    await store.deleteItemAsync(KEY);
    onSignedOut(code);
    return null;
  }

  /**
   * Refresh once for all callers, unless the session was refreshed since `stale`.
   *
   * @param {Session} stale
   */
  function renew(stale) {
    renewing ??= read()
      .then((session) => (session?.accessToken === stale.accessToken ? exchange(session.refreshToken) : session))
      .finally(() => (renewing = undefined));
    return renewing;
  }

  /** @param {string} path @param {RequestInit} init @param {Session | null} session */
  async function send(path, init, session) {
    const headers = { ...init.headers, ...(session && { Authorization: `Bearer ${session.accessToken}` }) };
    return fetch(`${url}${path}`, { ...init, headers });
  }

  /**
   * `fetch` below the service's URL, with a token that is renewed after a 401.
   *
   * @param {string} path
   * @param {RequestInit} [init]
   */
  async function authFetch(path, init = {}) {
    const session = await read();
    const response = await send(path, init, session);
    if (response.status !== 401 || !session) return response;
    const renewed = await renew(session);
    return renewed ? send(path, init, renewed) : response;
  }

  return { signIn, completeSignIn, signOut, fetch: authFetch };
}
