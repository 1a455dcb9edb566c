// A mobile app (React Native, Expo), which needs nothing but fetch and a secure store:
//   const auth = mobileAuth({ url, store: SecureStore, onSignedOut: (code) => navigation.navigate("SignIn", { code }) });
// SecureStore is expo-secure-store, or anything with its getItemAsync, setItemAsync and deleteItemAsync.

const KEY = "auth-session";
const PAUSES = [300, 1000, 3000]; // milliseconds; the service repeats a lost answer for ten seconds
const LONGEST_WAIT = 30_000; // of what Retry-After asks for

export function mobileAuth({ url, store, onSignedOut = () => {}, fetch = globalThis.fetch }) {
  let renewing;

  const read = async () => JSON.parse((await store.getItemAsync(KEY)) ?? "null");
  const post = (path, body) =>
    fetch(`${url}/api/auth/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });

  async function keep(answer) {
    const { accessToken, refreshToken } = await answer.json();
    const session = { accessToken, refreshToken };
    await store.setItemAsync(KEY, JSON.stringify(session));
    return session;
  }

  async function signIn(username, password) {
    const answer = await post("signin", { username, password });
    if (answer.ok) await keep(answer);
    return answer;
  }

  async function signOut() {
    const session = await read();
    await store.deleteItemAsync(KEY);
    if (session) await post("signout", { refreshToken: session.refreshToken });
  }

  /** Swap the refresh token; a lost answer is asked for again. Null where the session is over. */
  async function exchange(refreshToken) {
    for (const pause of [...PAUSES, null]) {
      const answer = await post("refreshtoken", { refreshToken }).catch(() => null);
      if (answer?.ok) return keep(answer);
      if (answer?.status === 403) return end((await answer.json()).code);
      const wait = Number(answer?.headers.get("Retry-After")) * 1000 || pause;
      if (pause === null || wait > LONGEST_WAIT)
        throw new Error(`The session could not be renewed: ${answer?.status ?? "no answer"}`);
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  async function end(code) {
    await store.deleteItemAsync(KEY);
    onSignedOut(code);
    return null;
  }

  /** One refresh for all who wait; none where it was done since `stale`. */
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

  /** `fetch` below the service's address, with a token that is renewed after a 401. */
  async function authFetch(path, init = {}) {
    const session = await read();
    const answer = await send(path, init, session);
    if (answer.status !== 401 || !session) return answer;
    const renewed = await renew(session);
    return renewed ? send(path, init, renewed) : answer;
  }

  return { signIn, signOut, fetch: authFetch };
}
