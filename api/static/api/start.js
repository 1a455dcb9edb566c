// The start page: a front end of this service like any other, on the client that others use as well.
import { AuthClient, AuthError } from "./auth-client.js";
import { accessTokenShown, element, generationsShown, moment, refreshTokenShown, time } from "./elements.js";
import { refreshParts } from "./tokens.js";

const REASONS = {
  signed_out: "You signed out.",
  signed_out_everywhere: "You signed out on all devices.",
  other_tab: "You signed out in another tab.",
  refresh_token_revoked: "The session is over: it was revoked. Its access token is refused as well.",
  refresh_token_expired: "The session is over: it was not used for too long.",
};
const LOG_LENGTH = 50;
const HERE = new URL("/", location.href).href;

const $ = (id) => document.getElementById(id);
const auth = new AuthClient({ url: HERE, storage: localStorage, fetch: fetchAndLog });
let shown = null; // the session that stands on the page
let generations = []; // the refresh tokens that this page has seen, oldest first
let told; // the failure that stands in the notice already

// What happened

function log(what, status = "", isGood = true) {
  $("log-empty").hidden = true;
  const badge = element("span", { className: isGood ? "status" : "status bad" }, status);
  const text = element("span", {}, what, element("small", {}, time(Date.now())));
  $("log").prepend(element("li", { className: "new" }, text, badge));
  while ($("log").children.length > LOG_LENGTH) $("log").lastChild.remove();
}

async function fetchAndLog(request) {
  const what = `${request.method} ${new URL(request.url).pathname}`;
  try {
    const answer = await fetch(request);
    const { code = "" } = answer.ok
      ? {}
      : await answer
          .clone()
          .json()
          .catch(() => ({}));
    log(what, `${answer.status} ${code}`, answer.ok);
    return answer;
  } catch (error) {
    log(what, "no answer", false);
    throw error;
  }
}

function notice(text, isBad = false) {
  $("notice").textContent = text;
  $("notice").className = isBad ? "notice bad" : "notice";
  // It stays in sight, and what the keyboard comes to is not to lie beneath it.
  document.documentElement.style.scrollPaddingTop = `${$("notice").offsetHeight + 16}px`;
  told = undefined;
}

// Forms

/** Have a screen reader say a form's error with the fields that it is about, after their hints. */
function tieError(form, fields) {
  const { id } = form.querySelector(".error");
  for (const input of form.querySelectorAll("input")) {
    const hints = (input.getAttribute("aria-describedby") ?? "").split(" ").filter((hint) => hint && hint !== id);
    const said = fields.includes(input) ? [...hints, id] : hints;
    if (said.length) input.setAttribute("aria-describedby", said.join(" "));
    else input.removeAttribute("aria-describedby");
  }
}

function forgetError(form) {
  form.querySelector(".error").textContent = "";
  for (const input of form.querySelectorAll("input")) input.removeAttribute("aria-invalid");
  tieError(form, []);
}

function onSubmit(form, act) {
  const error = form.querySelector(".error");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.hasAttribute("aria-busy")) return;
    forgetError(form);
    const empty = form.querySelector("input:invalid");
    try {
      if (empty)
        throw new AuthError(empty.validationMessage, {
          code: "",
          errors: { [empty.name]: [empty.validationMessage] },
        });
      button.setAttribute("aria-busy", "true");
      await act(Object.fromEntries(new FormData(form)));
    } catch (refusal) {
      const fields = Object.keys(refusal.errors ?? {})
        .map((name) => form.elements[name])
        .filter(Boolean);
      for (const field of fields) field.setAttribute("aria-invalid", "true");
      error.textContent =
        Object.values(refusal.errors ?? {})
          .flat()
          .join(" ") || refusal.message;
      const blamed = fields.length ? fields : [form.querySelector("input")];
      tieError(form, blamed);
      blamed[0].focus();
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

onSubmit($("sign-in"), (fields) => {
  notice("");
  return auth.signIn(fields);
});
onSubmit($("sign-up"), async (fields) => {
  await auth.signUp(fields);
  notice(`The account is made, and ${fields.email} was mailed a link that verifies it.`);
  await auth.signIn(fields);
});

/** Do something on a press, and show what it is refused with. */
function onPress(id, act) {
  $(id).addEventListener("click", (event) => {
    notice("");
    act(event).catch((error) => {
      if (!(error instanceof AuthError)) throw error;
      if (shown && error !== told) notice(error.message, true);
    });
  });
}

onPress("sign-out", () => auth.signOut());
onPress("sign-out-everywhere", () => auth.signOutEverywhere());
onPress("refresh", () => auth.refresh());
onPress("calls", async ({ target }) => {
  if (!target.dataset.path) return;
  const answer = await auth.fetch(`${HERE}api/${target.dataset.path}`);
  const text = await answer.text();
  $("answer").textContent = `${answer.status}: ${answer.ok ? text : JSON.parse(text).message}`;
});
if ($("replay")) onPress("replay", replay);

// A stolen token

async function replay() {
  while (generations.length < 3) remember(await auth.refresh());
  const [oldest] = generations;
  const { generation } = refreshParts(oldest);
  notice(`Presenting generation ${generation}, as a thief would…`);
  const refused = await present(oldest);
  await auth.refresh().catch(() => {});
  notice(
    `Generation ${generation} was presented again: ${refused}. The service cannot know who is the thief, so it ended the
    session for both. Sign in again.`,
    true,
  );
}

/** Refresh by hand, beside the client, and tell what is answered. */
async function present(refreshToken) {
  const answer = await fetchAndLog(
    new Request(`${HERE}api/auth/refreshtoken`, {
      method: "POST",
      credentials: "omit",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refreshToken }),
    }),
  );
  return answer.ok ? "it was answered" : (await answer.json()).code;
}

// What is shown of a session

function show(session) {
  const isNew = session && session.signedInAt !== shown?.signedInAt;
  shown = session;
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
  remember(session);
  const { text, header, claims } = accessTokenShown(session.accessToken);
  $("jwt").replaceChildren(...text);
  $("jwt-header").replaceChildren(...header);
  $("jwt-claims").replaceChildren(...claims);
  showLife();
  $("refresh-parts").replaceChildren(...refreshTokenShown(session.refreshToken));
  $("generations")?.replaceChildren(...generationsShown(generations, Number(document.body.dataset.grace)));
}

function remember({ refreshToken }) {
  if (!generations.includes(refreshToken)) generations.push(refreshToken);
}

function showLife() {
  if (!shown) return;
  const left = shown.expiresIn - (Date.now() - shown.renewedAt) / 1000;
  const [minutes, seconds] = [Math.floor(left / 60), Math.floor(left % 60)];
  $("countdown").textContent =
    left > 0
      ? `Good for ${minutes ? `${minutes} min ` : ""}${seconds} s more`
      : "Expired. The next request renews it.";
  $("life").value = Math.max(0, left / shown.expiresIn);
}
setInterval(showLife, 1000);

async function showSessions() {
  const sessions = await auth.call("GET", "auth/sessions");
  $("sessions").replaceChildren(
    ...sessions.map((session) => {
      const { id, device, ipAddress, createdAt, lastUsedAt, current } = session;
      const times = `${ipAddress ?? "unknown address"} · since ${moment(createdAt)} · used ${moment(lastUsedAt)}`;
      const end = element("button", { className: "quiet" }, "End");
      end.setAttribute("aria-label", `End the session of ${device}, since ${moment(createdAt)}`);
      end.addEventListener("click", () => endSession(id));
      return element(
        "li",
        {},
        element("span", {}, current ? `${device} (this one)` : device, element("small", {}, times)),
        end,
      );
    }),
  );
}

async function endSession(id) {
  notice("");
  try {
    await auth.call("DELETE", `auth/sessions/${id}`);
    await showSessions(); // Was it this one, this refresh is refused, and the client notices.
    $("sessions-title").focus();
  } catch (error) {
    if (shown && error !== told) notice(error.message, true);
  }
}

// What the client tells

auth.addEventListener("signedin", async ({ detail }) => {
  for (const form of document.forms) {
    form.reset();
    forgetError(form);
  }
  show(await auth.session());
  $("who").focus();
  log(`${detail.user.username} is signed in`);
  await showSessions().catch(() => {});
});
auth.addEventListener("refreshed", async () => {
  const session = await auth.session();
  show(session);
  if (session) log(`Refreshed: generation ${refreshParts(session.refreshToken).generation}`);
});
auth.addEventListener("refreshfailed", ({ detail }) => {
  notice(`${detail.error.message} The session is kept.`, true);
  told = detail.error;
});
auth.addEventListener("signedout", ({ detail }) => {
  const isOwn = detail.reason.startsWith("signed_out");
  show(null);
  notice(REASONS[detail.reason] ?? `The session is over: ${detail.reason}.`, !isOwn);
  log("Signed out", detail.reason, isOwn);
  $("try").focus();
});

show(await auth.session());
if (shown) await showSessions().catch(() => {});
