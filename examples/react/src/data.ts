// What the pages load (loaders) and what their forms do (actions). The components only show it.
import { AuthError, type Challenge, type User } from "@authproject/client";
import { type ActionFunctionArgs, type LoaderFunctionArgs, redirect } from "react-router";

import { api, auth } from "./auth";

export interface Profile extends User {
  emailVerified: boolean;
}

export interface Session {
  id: string;
  device: string;
  ipAddress: string | null;
  createdAt: string;
  lastUsedAt: string;
  current: boolean;
}

export interface Note {
  id: number;
  text: string;
  author: string;
}

export interface Statistics {
  notes: number;
  authors: { author: string; notes: number }[];
}

/** Why a form was refused: a message for the whole form, and messages by field. */
export interface Refusal {
  code: string;
  message: string;
  errors: Record<string, string[]>;
}

/** That a form was accepted and its page remains. */
export interface Saved {
  saved: true;
}

export function isRefusal(result: Refusal | Saved | undefined): result is Refusal {
  return result !== undefined && "code" in result;
}

export const loadProfile = signedIn(() => auth.call<Profile>("GET", "auth/me"));
export const loadSessions = signedIn(() => auth.call<Session[]>("GET", "auth/sessions"));
export const loadNotes = signedIn(() => api<Note[]>("GET", "/notes"));
export const loadAllNotes = signedIn(() => api<Note[]>("GET", "/notes/all"));
export const loadStatistics = signedIn(() => api<Statistics>("GET", "/statistics"));

/** What the sign-in page shows: why it was refused, and whether it asks for the password or for a second factor. */
export interface SignInStep {
  refusal: Refusal | null;
  asksForCode: boolean;
}

/** The sign-in that waits for a second factor. */
let challenge: Challenge | undefined;

export async function signIn({ request }: ActionFunctionArgs): Promise<SignInStep | Response> {
  const { username = "", password = "", code } = await fieldsOf(request);
  const refusal = await refusalOf(challenge && code ? completeSignIn(challenge, code) : startSignIn(username, password));
  if (refusal && refusal.code !== "invalid_code") challenge = undefined;
  return refusal || challenge ? { refusal, asksForCode: challenge !== undefined } : redirect(nextPage(request));
}

async function startSignIn(username: string, password: string) {
  challenge = (await auth.signIn({ username, password })).secondFactor;
}

async function completeSignIn(waiting: Challenge, code: string) {
  const isRecoveryCode = !/^\d{6}$/.test(code.trim());
  await auth.completeSignIn(waiting, isRecoveryCode ? { recoveryCode: code.trim() } : { code: code.trim() });
  challenge = undefined;
}

export async function signUp({ request }: ActionFunctionArgs) {
  const { username = "", email = "", password = "" } = await fieldsOf(request);
  const register = async () => {
    await auth.signUp({ username, email, password });
    await auth.signIn({ username, password });
  };
  return (await refusalOf(register())) ?? redirect("/");
}

export async function requestReset({ request }: ActionFunctionArgs): Promise<Refusal | Saved> {
  const { email } = await fieldsOf(request);
  return (await refusalOf(auth.call("POST", "auth/password/reset", { email }))) ?? { saved: true };
}

export async function signOut() {
  // If the service cannot be reached, this browser is signed out all the same: the client has deleted the tokens.
  await refusalOf(auth.signOut());
  return redirect("/sign-in");
}

export async function changeProfile({ request }: ActionFunctionArgs): Promise<Refusal | Saved> {
  const { password, ...names } = await fieldsOf(request);
  const change = async () => {
    // A change of the username or the email address requires that the password was entered within the last minutes.
    if (password) await auth.reauthenticate(password);
    await auth.call("PATCH", "auth/me", names);
  };
  return (await refusalOf(change())) ?? { saved: true };
}

export async function endSession({ request }: ActionFunctionArgs) {
  const { id } = await fieldsOf(request);
  if (id === "all") await auth.signOutEverywhere();
  else await auth.call("DELETE", `auth/sessions/${id}`);
  return null;
}

export async function addNote({ request }: ActionFunctionArgs) {
  const { text } = await fieldsOf(request);
  return refusalOf(api("POST", "/notes", { text }));
}

export async function deleteNote({ request }: ActionFunctionArgs) {
  const { id } = await fieldsOf(request);
  return refusalOf(api("DELETE", `/notes/${id}`));
}

/** Return a loader for signed-in users. Others are sent to the sign-in page, and back afterwards. */
function signedIn<Content>(load: () => Promise<Content>) {
  return async ({ request }: LoaderFunctionArgs): Promise<Content> => {
    const parameters = new URLSearchParams({ next: new URL(request.url).pathname });
    if (!(await auth.session())) throw redirect(`/sign-in?${parameters}`);
    try {
      return await load();
    } catch (error) {
      if (!(error instanceof AuthError) || (await auth.session())) throw error;
      // The session has ended, for example on another device.
      parameters.set("reason", error.code);
      throw redirect(`/sign-in?${parameters}`);
    }
  };
}

async function fieldsOf(request: Request): Promise<Record<string, string>> {
  const entries = [...(await request.formData())];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

/** Return why a call was refused, for the form to show it, or null. */
async function refusalOf(call: Promise<unknown>): Promise<Refusal | null> {
  try {
    await call;
    return null;
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    const { code, message, errors } = error;
    return { code, message, errors };
  }
}

/** Return the path to go to after signing in. Only paths of this site, so that a link cannot lead elsewhere. */
function nextPage(request: Request): string {
  const { searchParams, origin } = new URL(request.url);
  const next = new URL(searchParams.get("next") ?? "/", origin);
  return next.origin === origin ? next.pathname : "/";
}
