// Vue 3. Usage: app.provide(authKey, auth) once, and const { user } = useAuth() in components; or useAuth(auth).
import { computed, getCurrentScope, hasInjectionContext, inject, onScopeDispose, shallowRef } from "vue";

import { sessionState } from "./src/session-state.js";

/** The key under which an app provides its client. */
export const authKey = Symbol("auth-client");

/** Return the client and computed refs of {status, user, reason}, which follow the session in every tab. */
export function useAuth(client) {
  const used = client ?? (hasInjectionContext() ? inject(authKey, null) : null);
  if (!used) throw new Error("useAuth needs app.provide(authKey, client), or a client as its argument.");
  const { get, subscribe } = sessionState(used);
  const state = shallowRef(get());
  const unsubscribe = subscribe(() => (state.value = get()));
  if (getCurrentScope()) onScopeDispose(unsubscribe);
  const part = (name) => computed(() => state.value[name]);
  return { client: used, status: part("status"), user: part("user"), reason: part("reason") };
}
