// Mobile apps (React Native, Expo). Needs only fetch and a secure store. Usage:
//   const auth = mobileAuth({ url, store: SecureStore, onSignedOut: (code) => navigation.navigate("SignIn", { code }) });
// SecureStore is expo-secure-store, or an object with getItemAsync, setItemAsync and deleteItemAsync.

const KEY = "auth-session";
const RETRY_DELAYS = [300, 1000, 3000]; // milliseconds; the service repeats a response for ten seconds
const MAX_RETRY_AFTER = 30_000; // milliseconds; do not wait longer for Retry-After

export function mobileAuth({ url, store, onSignedOut = () => {}, fetch = globalThis.fetch }) {
  let renewing;

  const read = async () => JSON.parse((await store.getItemAsync(KEY)) ?? "null");
  const post = (path, body) =>
    fetch(`${url}/api/auth/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });

  async function storeSession(response) {
    const { accessToken, refreshToken } = await response.json();
    const session = { accessToken, refreshToken };
    await store.setItemAsync(KEY, JSON.stringify(session));
    return session;
  }

  async function signIn(username, password) {
    const response = await post("signin", { username, password });
    if (response.ok) await storeSession(response);
    return response;
  }

  async function signOut() {
    const session = await read();
    await store.deleteItemAsync(KEY);
    if (session) await post("signout", { refreshToken: session.refreshToken });
  }

  /** Exchange the refresh token, and retry if the response is lost. Return null if the session has ended. */
  async function exchange(refreshToken) {
    for (const pause of [...RETRY_DELAYS, null]) {
      const response = await post("refreshtoken", { refreshToken }).catch(() => null);
      if (response?.ok) return storeSession(response);
      if (response?.status === 403) return end((await response.json()).code);
      const wait = Number(response?.headers.get("Retry-After")) * 1000 || pause;
      if (pause === null || wait > MAX_RETRY_AFTER)
        throw new Error(`The session could not be renewed: ${response?.status ?? "no response"}`);
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  async function end(code) {
    await store.deleteItemAsync(KEY);
    onSignedOut(code);
    return null;
  }

  /** Refresh once for all callers, unless the session was refreshed since `stale`. */
  function renew(stale) {
    renewing ??= read()
      .then((session) => (session?.accessToken === stale.accessToken ? exchange(session.refreshToken) : session))
      .finally(() => (renewing = undefined));
    return renewing;
  }

  async function send(path, init, session) {
    const headers = { ...init.headers, ...(session && { Authorization: `Bearer ${session.accessToken}` }) };
    return fetch(`${url}${path}`, { ...init, headers });
  }

  /** `fetch` below the service's URL, with a token that is renewed after a 401. */
  async function authFetch(path, init = {}) {
    const session = await read();
    const response = await send(path, init, session);
    if (response.status !== 401 || !session) return response;
    const renewed = await renew(session);
    return renewed ? send(path, init, renewed) : response;
  }

  return { signIn, signOut, fetch: authFetch };
}
