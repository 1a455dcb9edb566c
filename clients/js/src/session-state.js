// The state of a client's session as a value, for user interface libraries.

const LOADING = Object.freeze({ status: "loading", user: null, reason: null });
const states = new WeakMap();

/**
 * Return the state of a client's session: `get()` returns the current value, `subscribe(listener)` calls the listener after each
 * change and returns a function that unsubscribes. A value is {status, user, reason} and never changes.
 */
export function sessionState(client) {
  if (!states.has(client)) states.set(client, follow(client));
  return states.get(client);
}

function follow(client) {
  let value = LOADING;
  const listeners = new Set();
  const set = (user, reason = null) => {
    // The same user after a refresh is the same object, so that components are not rendered again.
    if (user && isEqual(user, value.user)) return;
    value = Object.freeze({ status: user ? "signedIn" : "signedOut", user, reason });
    for (const listener of [...listeners]) listener();
  };
  client.addEventListener("signedin", ({ detail }) => set(detail.user));
  client.addEventListener("refreshed", ({ detail }) => set(detail.user));
  client.addEventListener("signedout", ({ detail }) => set(null, detail.reason));
  client.session().then((session) => {
    if (value === LOADING) set(session?.user ?? null);
  });
  return {
    get: () => value,
    getInitial: () => LOADING,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function isEqual(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
