import type { ComputedRef, InjectionKey } from "vue";

import type { AuthClient, SessionState } from "./auth-client.js";

/** The key under which an app provides its client: `app.provide(authKey, client)`. */
export const authKey: InjectionKey<AuthClient>;

/**
 * Return the client and the state of its session as refs, which follow the session in every tab.
 *
 * Without an argument, the client is the one that the app provides. Throws an Error if there is none.
 */
export function useAuth(client?: AuthClient): {
  client: AuthClient;
  status: ComputedRef<SessionState["status"]>;
  user: ComputedRef<SessionState["user"]>;
  reason: ComputedRef<SessionState["reason"]>;
};
