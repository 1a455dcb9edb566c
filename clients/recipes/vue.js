// Vue. Usage: const { user, reason } = useAuth(auth)
import { getCurrentScope, onScopeDispose, readonly, shallowRef } from "vue";

/** Return refs of the signed-in user and of the reason why the session ended. Both follow the client in every tab. */
export function useAuth(auth) {
  const user = shallowRef(null);
  const reason = shallowRef(null);
  const subscription = new AbortController();
  const { signal } = subscription;

  const setUser = ({ detail }) => {
    user.value = detail.user;
    reason.value = null;
  };
  auth.addEventListener("signedin", setUser, { signal });
  auth.addEventListener("refreshed", setUser, { signal });
  auth.addEventListener(
    "signedout",
    ({ detail }) => {
      user.value = null;
      reason.value = detail.reason;
    },
    { signal },
  );
  auth.session().then((session) => (user.value ??= session?.user ?? null));
  if (getCurrentScope()) onScopeDispose(() => subscription.abort());
  return { user: readonly(user), reason: readonly(reason) };
}
