// React. Usage: const users = userStore(auth) once, beside the client; const user = useUser(users) in components.
import { useSyncExternalStore } from "react";

/** Return a store of the signed-in user that React can subscribe to. */
export function userStore(auth) {
  let user = null;
  const listeners = new Set();
  const set = (next) => {
    user = next;
    for (const listener of listeners) listener();
  };
  auth.addEventListener("signedin", ({ detail }) => set(detail.user));
  auth.addEventListener("signedout", () => set(null));
  const ready = auth.session().then((session) => set(session?.user ?? null));
  return {
    ready,
    get: () => user,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useUser({ subscribe, get }) {
  return useSyncExternalStore(subscribe, get, get);
}
