// Compiled by `npm run types`, never run: programs that must compile, and with @ts-expect-error programs that must not.
import { AuthClient, AuthError, type Session, type User } from "@authproject/client";
import { AuthClient as ClientWithFactors, type Enrolled } from "@authproject/client/factors";
import { AuthProvider, useAuth } from "@authproject/client/react";
import { authKey, useAuth as useVueAuth } from "@authproject/client/vue";
import { createElement, type ReactElement } from "react";
import { createApp } from "vue";

const auth = new AuthClient({ url: "https://auth.example.com", storage: () => localStorage });

export async function calls(signal: AbortSignal): Promise<void> {
  const result = await auth.signIn({ username: "alice", password: "correct horse" }, { signal });
  // @ts-expect-error an account with a second factor has no session yet
  console.log(result.user);
  const session: Session = result.secondFactor ? await auth.completeSignIn(result.secondFactor, { code: "1" }) : result;
  const user: User = await auth.call<User>("GET", "auth/me", undefined, { signal });
  const response: Response = await auth.fetch("/api/orders", { method: "POST", signal });
  await auth.refresh(session);
  console.log(user.roles.join(), response.status, (await auth.fresh())?.accessToken?.length);
  // @ts-expect-error a password is required
  await auth.signIn({ username: "alice" });
  // @ts-expect-error an access token may be missing
  console.log(session.accessToken.length);
}

export async function secondFactors(signal: AbortSignal): Promise<Enrolled> {
  const client = new ClientWithFactors({ transport: "cookie" });
  const { secondFactor } = await client.signIn({ username: "alice", password: "correct horse" });
  if (secondFactor?.factors.includes("passkey")) await client.passkeys.completeSignIn(secondFactor, { signal });
  const { user }: Session = await client.passkeys.signIn({ conditional: await client.passkeys.supportsAutofill(), signal });
  await client.stepUp({ password: "correct horse" });
  await client.stepUp({ recoveryCode: user.username });
  // @ts-expect-error one answer at a time
  await client.stepUp({ code: "1", recoveryCode: "2" });
  // @ts-expect-error the password is no second factor
  if (secondFactor) await client.completeSignIn(secondFactor, { password: "correct horse" });
  // @ts-expect-error this entry has the passkeys
  console.log(auth.passkeys);
  const { id, qrCode } = await client.factors.addAuthenticator("Phone");
  const codes: string[] | undefined = (await client.factors.confirmAuthenticator(id, qrCode)).recoveryCodes;
  for (const { type, synced } of (await client.factors.list()).factors) console.log(type === "totp", synced, codes);
  return client.passkeys.register("Laptop");
}

/** Another WebAuthn library, or the browser itself, may use the passkey. */
export async function passkeyOfTheBrowser(): Promise<Session> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(await auth.passkeyOptions());
  const credential = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
  return auth.signIn({ passkey: credential.toJSON() as AuthenticationResponseJSON });
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
