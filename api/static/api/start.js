// The start page: a front end that uses the same client as any other.
import { AuthClient, AuthError } from "./auth-client.js";
import { renderAccessToken, element, renderGenerations, formatDateTime, renderRefreshToken, formatTime } from "./elements.js";
import { parseRefreshToken } from "./tokens.js";

const REASONS = {
  signed_out: "You signed out.",
  signed_out_everywhere: "You signed out on all devices.",
  other_tab: "You signed out in another tab.",
  refresh_token_revoked: "Your session was revoked. Its access token is refused, too. Sign in again.",
  refresh_token_expired: "Your session expired because it was not used. Sign in again.",
};
const LOG_LENGTH = 50;
const SERVICE_URL = new URL("/", location.href).href;

const $ = (id) => document.getElementById(id);
const auth = new AuthClient({ url: SERVICE_URL, storage: localStorage, fetch: fetchAndLog });
let displayedSession = null; // the session on the page
let generations = []; // the refresh tokens of this session, oldest first
let displayedError; // the error that the notice shows already

// The log

function log(label, status = "", isGood = true) {
  $("log-empty").hidden = true;
  const badge = element("span", { className: isGood ? "status" : "status bad" }, status);
  const text = element("span", {}, label, element("small", {}, formatTime(Date.now())));
  $("log").prepend(element("li", { className: "new" }, text, badge));
  while ($("log").children.length > LOG_LENGTH) $("log").lastChild.remove();
}

async function fetchAndLog(request) {
  const label = `${request.method} ${new URL(request.url).pathname}`;
  try {
    const response = await fetch(request);
    const { code = "" } = response.ok
      ? {}
      : await response
          .clone()
          .json()
          .catch(() => ({}));
    log(label, `${response.status} ${code}`, response.ok);
    return response;
  } catch (error) {
    log(label, "no response", false);
    throw error;
  }
}

function notice(text, isBad = false) {
  $("notice").textContent = text;
  $("notice").className = isBad ? "notice bad" : "notice";
  // The notice is sticky. Keep elements that get the keyboard focus from scrolling beneath it.
  document.documentElement.style.scrollPaddingTop = `${$("notice").offsetHeight + 16}px`;
  displayedError = undefined;
}

// Forms

/** Let screen readers read the form's error with the fields that it concerns, after their hints. */
function describeFieldsBy(form, fields) {
  const { id } = form.querySelector(".error");
  for (const input of form.querySelectorAll("input")) {
    const hints = (input.getAttribute("aria-describedby") ?? "").split(" ").filter((hint) => hint && hint !== id);
    const ids = fields.includes(input) ? [...hints, id] : hints;
    if (ids.length) input.setAttribute("aria-describedby", ids.join(" "));
    else input.removeAttribute("aria-describedby");
  }
}

function clearError(form) {
  form.querySelector(".error").textContent = "";
  for (const input of form.querySelectorAll("input")) input.removeAttribute("aria-invalid");
  describeFieldsBy(form, []);
}

function onSubmit(form, action) {
  const error = form.querySelector(".error");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.hasAttribute("aria-busy")) return;
    clearError(form);
    const empty = form.querySelector("input:invalid");
    try {
      if (empty)
        throw new AuthError(empty.validationMessage, {
          code: "",
          errors: { [empty.name]: [empty.validationMessage] },
        });
      button.setAttribute("aria-busy", "true");
      await action(Object.fromEntries(new FormData(form)));
    } catch (failure) {
      const fields = Object.keys(failure.errors ?? {})
        .map((name) => form.elements[name])
        .filter(Boolean);
      for (const field of fields) field.setAttribute("aria-invalid", "true");
      error.textContent =
        Object.values(failure.errors ?? {})
          .flat()
          .join(" ") || failure.message;
      const invalidFields = fields.length ? fields : [form.querySelector("input")];
      describeFieldsBy(form, invalidFields);
      invalidFields[0].focus();
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

onSubmit($("sign-in"), (fields) => {
  notice("");
  return auth.signIn(fields);
});
if ($("sign-up"))
  onSubmit($("sign-up"), async (fields) => {
    const { username } = await auth.signUp(fields);
    notice(`Account created. We sent a verification link to ${fields.email}.`);
    await auth.signIn({ username, password: fields.password });
  });

/** Run an action on a click, and show its error in the notice. */
function onClick(id, action) {
  $(id).addEventListener("click", (event) => {
    notice("");
    action(event).catch((error) => {
      if (!(error instanceof AuthError)) throw error;
      if (displayedSession && error !== displayedError) notice(error.message, true);
    });
  });
}

onClick("sign-out", () => auth.signOut());
onClick("sign-out-everywhere", () => auth.signOutEverywhere());
onClick("refresh", () => auth.refresh());
onClick("calls", async ({ target }) => {
  if (!target.dataset.path) return;
  const response = await auth.fetch(`${SERVICE_URL}api/${target.dataset.path}`);
  const text = await response.text();
  $("answer").textContent = `${response.status}: ${response.ok ? text : JSON.parse(text).message}`;
});
if ($("replay")) onClick("replay", replay);

// Replay of a stolen refresh token

async function replay() {
  while (generations.length < 3) rememberGeneration(await auth.refresh());
  const [oldest] = generations;
  const { generation } = parseRefreshToken(oldest);
  notice(`Sending the refresh token of generation ${generation}, as a thief would…`);
  const refused = await presentRefreshToken(oldest);
  await auth.refresh().catch(() => {});
  notice(
    `The refresh token of generation ${generation} was used again: ${refused}. The service cannot know who the thief is, so it
    ended the session for both. Sign in again.`,
    true,
  );
}

/** Send a refresh token without the client; return the error code. */
async function presentRefreshToken(refreshToken) {
  const response = await fetchAndLog(
    new Request(`${SERVICE_URL}api/auth/refreshtoken`, {
      method: "POST",
      credentials: "omit",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refreshToken }),
    }),
  );
  return response.ok ? "accepted" : (await response.json()).code;
}

// The session

function showSession(session) {
  const isNew = session && session.signedInAt !== displayedSession?.signedInAt;
  displayedSession = session;
  $("signed-out").hidden = Boolean(session);
  $("signed-in").hidden = !session;
  if (!session) return;
  const { username, email, roles } = session.user;
  $("who").textContent = `Hello, ${username}`;
  $("profile").textContent = [email, roles.join(", ")].filter(Boolean).join(" · ");
  if (isNew) {
    generations = [];
    $("answer").textContent = "";
  }
  rememberGeneration(session);
  const { text, header, claims } = renderAccessToken(session.accessToken);
  $("jwt").replaceChildren(...text);
  $("jwt-header").replaceChildren(...header);
  $("jwt-claims").replaceChildren(...claims);
  showRemainingTime();
  $("refresh-parts").replaceChildren(...renderRefreshToken(session.refreshToken));
  $("generations")?.replaceChildren(...renderGenerations(generations, Number(document.body.dataset.grace)));
}

function rememberGeneration({ refreshToken }) {
  if (!generations.includes(refreshToken)) generations.push(refreshToken);
}

function showRemainingTime() {
  if (!displayedSession) return;
  const left = displayedSession.expiresIn - (Date.now() - displayedSession.renewedAt) / 1000;
  const [minutes, seconds] = [Math.floor(left / 60), Math.floor(left % 60)];
  $("countdown").textContent =
    left > 0
      ? `Valid for another ${minutes ? `${minutes} min ` : ""}${seconds} s`
      : "Expired. The next request refreshes it.";
  $("life").value = Math.max(0, left / displayedSession.expiresIn);
}
setInterval(showRemainingTime, 1000);

async function showSessions() {
  const sessions = await auth.call("GET", "auth/sessions");
  $("sessions").replaceChildren(
    ...sessions.map((session) => {
      const { id, device, ipAddress, createdAt, lastUsedAt, current } = session;
      const times = `${ipAddress ?? "unknown address"} · since ${formatDateTime(createdAt)} · used ${formatDateTime(lastUsedAt)}`;
      const endButton = element("button", { className: "quiet" }, "End");
      endButton.setAttribute("aria-label", `End the session of ${device}, since ${formatDateTime(createdAt)}`);
      endButton.addEventListener("click", () => endSession(id));
      return element(
        "li",
        {},
        element("span", {}, current ? `${device} (this session)` : device, element("small", {}, times)),
        endButton,
      );
    }),
  );
}

async function endSession(id) {
  notice("");
  try {
    await auth.call("DELETE", `auth/sessions/${id}`);
    await showSessions(); // If it was this session, the refresh is refused and the client signs out.
    $("sessions-title").focus();
  } catch (error) {
    if (displayedSession && error !== displayedError) notice(error.message, true);
  }
}

// Events of the client

auth.addEventListener("signedin", async ({ detail }) => {
  for (const form of document.forms) {
    form.reset();
    clearError(form);
  }
  showSession(await auth.session());
  $("who").focus();
  log(`Signed in as ${detail.user.username}`);
  await showSessions().catch(() => {});
});
auth.addEventListener("refreshed", async () => {
  const session = await auth.session();
  showSession(session);
  if (session) log(`Refreshed: generation ${parseRefreshToken(session.refreshToken).generation}`);
});
auth.addEventListener("refreshfailed", ({ detail }) => {
  notice(`${detail.error.message} You remain signed in.`, true);
  displayedError = detail.error;
});
auth.addEventListener("signedout", ({ detail }) => {
  const isExpected = detail.reason.startsWith("signed_out");
  showSession(null);
  notice(REASONS[detail.reason] ?? `Your session ended: ${detail.reason}. Sign in again.`, !isExpected);
  log("Signed out", detail.reason, isExpected);
  $("try").focus();
});

showSession(await auth.session());
if (displayedSession) await showSessions().catch(() => {});
