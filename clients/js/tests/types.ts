// Compiled by `npm run types`, never run: programs that must compile, and with @ts-expect-error programs that must not.
import { AuthClient, AuthError, type Session, type User } from "@authproject/client";
import { AuthProvider, useAuth } from "@authproject/client/react";
import { authKey, useAuth as useVueAuth } from "@authproject/client/vue";
import { createElement, type ReactElement } from "react";
import { createApp } from "vue";

const auth = new AuthClient({ url: "https://auth.example.com", storage: () => localStorage });

export async function calls(signal: AbortSignal): Promise<void> {
  const session: Session = await auth.signIn({ username: "alice", password: "correct horse" }, { signal });
  const user: User = await auth.call<User>("GET", "auth/me", undefined, { signal });
  const response: Response = await auth.fetch("/api/orders", { method: "POST", signal });
  await auth.refresh(session);
  console.log(user.roles.join(), response.status, (await auth.fresh())?.accessToken?.length);
  // @ts-expect-error a password is required
  await auth.signIn({ username: "alice" });
  // @ts-expect-error an access token may be missing
  console.log(session.accessToken.length);
}

export function failures(error: unknown): string {
  if (!(error instanceof AuthError)) throw error;
  if (error.retryAfter !== null) return `Try again in ${error.retryAfter.toFixed()} s.`;
  return error.errors.email?.join(" ") ?? `${error.code} ${error.status} ${error.details.authSession}`;
}

auth.addEventListener("signedout", ({ detail }) => console.log(detail.reason.length, detail.user?.username));
auth.addEventListener("refreshfailed", ({ detail }) => console.log(detail.error.code));
// @ts-expect-error this event has no error
auth.addEventListener("signedin", ({ detail }) => console.log(detail.error));

export function Greeting(): ReactElement {
  const { client, status, user, reason } = useAuth();
  if (status === "loading") return createElement("p", null, "…");
  if (status === "signedOut") return createElement("p", null, reason ?? "Sign in.");
  return createElement("button", { onClick: () => client.signOut() }, user.username);
}
createElement(AuthProvider, { client: auth }, createElement(Greeting));

createApp({
  setup() {
    const { user, status, reason, client } = useVueAuth();
    const name: string | undefined = user.value?.username;
    return { name, isLoading: status.value === "loading", reason: reason.value?.length, leave: () => client.signOut() };
  },
}).provide(authKey, auth);
