// The start page: a front end that uses the same client as any other.
//
// A panel is a section of the page with a script in `panels/`. It is a function of the page (below) that returns
// `start(session)`, called when a session begins, and `show(session)`, called whenever the session changed. Both are optional.
import { AuthClient, AuthError } from "./factors.js";
import { closeDialogs } from "./dialogs.js";
import { $, createNotice } from "./elements.js";
import { onSubmit, resetForms } from "./forms.js";
import { fetchAndLog, log } from "./log.js";
import { accessTokenPanel } from "./panels/access_token.js";
import { apiCallsPanel } from "./panels/api_calls.js";
import { factorsPanel } from "./panels/factors.js";
import { refreshTokenPanel } from "./panels/refresh_token.js";
import { sessionsPanel } from "./panels/sessions.js";
import { signInForm } from "./sign_in.js";
import { errorText, hasText, text } from "./texts.js";
import { parseRefreshToken } from "./tokens.js";

const PANELS = [accessTokenPanel, apiCallsPanel, refreshTokenPanel, sessionsPanel, factorsPanel];

const url = new URL("/", location.href).href;
const auth = new AuthClient({ url, storage: localStorage, fetch: fetchAndLog });
const showNotice = createNotice($("notice"));
let displayedSession = null; // the session on the page
let displayedError; // the error that the notice shows already

function notice(content, isBad) {
  showNotice(content, isBad);
  displayedError = undefined;
}

/** Run an action of a signed-in user, and show its error in the notice. */
async function attempt(action) {
  notice("");
  try {
    await action();
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    if (displayedSession && error !== displayedError) notice(errorText(error), true);
  }
}

const onClick = (id, action) => $(id).addEventListener("click", (event) => attempt(() => action(event)));
const panels = PANELS.map((create) => create({ auth, url, notice, attempt, onClick }));

// Signing up, in and out

signInForm(auth, notice);
if ($("sign-up"))
  onSubmit($("sign-up"), async (fields) => {
    const { username } = await auth.signUp(fields);
    notice(text("account_created", { email: fields.email }));
    await auth.signIn({ username, password: fields.password });
  });
onClick("sign-out", () => auth.signOut());
onClick("sign-out-everywhere", () => auth.signOutEverywhere());

// The session

async function showSession(session) {
  const isNew = session && session.signedInAt !== displayedSession?.signedInAt;
  displayedSession = session;
  const view = session ? "signed-in" : "signed-out";
  for (const part of document.querySelectorAll("[data-shown]")) part.hidden = part.dataset.shown !== view;
  if (!session) return;
  const { username, email, roles } = session.user;
  $("who").textContent = text("hello", { username });
  // Tokens and commands name roles without the prefix that the response to a sign-in has.
  const names = roles.map((role) => role.replace(/^ROLE_/, "").toLowerCase());
  $("profile").textContent = [email, names.join(", ")].filter(Boolean).join(" · ");
  const loading = isNew ? panels.map((panel) => panel.start?.(session)) : [];
  for (const panel of panels) panel.show?.(session);
  await Promise.all(loading);
}

// Events of the client

auth.addEventListener("signedin", async ({ detail }) => {
  closeDialogs();
  resetForms();
  const shown = showSession(await auth.session());
  $("who").focus();
  log(text("log_signed_in", { username: detail.user.username }));
  await shown;
});
auth.addEventListener("refreshed", async () => {
  const session = await auth.session();
  await showSession(session);
  if (session) log(text("log_refreshed", parseRefreshToken(session.refreshToken)));
});
auth.addEventListener("refreshfailed", ({ detail }) => {
  notice(text("remains_signed_in", { error: errorText(detail.error) }), true);
  displayedError = detail.error;
});
auth.addEventListener("signedout", ({ detail: { reason } }) => {
  const isExpected = reason.startsWith("signed_out");
  closeDialogs();
  showSession(null);
  notice(hasText(reason) ? text(reason) : text("session_ended", { reason }), !isExpected);
  log(text("log_signed_out"), reason, isExpected);
  $("try").focus();
});

// Where the page has one column, what the tokens contain would be longer than all the rest.
if (!matchMedia("(min-width: 62rem)").matches) for (const details of document.querySelectorAll("details")) details.open = false;

await showSession(await auth.session());
