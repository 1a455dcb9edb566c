// The user's sessions, each of which can be ended.
import { $, element } from "../elements.js";
import { formatDateTime, text } from "../texts.js";

/** Return the panel. `start` and `refresh` load the list. */
export function sessionsPanel({ auth, attempt }) {
  async function load() {
    const sessions = await auth.call("GET", "auth/sessions");
    $("sessions").replaceChildren(...sessions.map((session) => renderSession(session, end)));
  }

  const end = (id) =>
    attempt(async () => {
      await auth.call("DELETE", `auth/sessions/${id}`);
      await load(); // If it was this session, the refresh is refused and the client signs out.
      $("sessions-title").focus();
    });

  return { start: () => load().catch(() => {}) };
}

/** Return the device, with the application that has the session, or that the browser is signed in for applications. */
function holderOf({ device, kind, applicationName }) {
  if (kind === "browser") return text("browser_session", { device });
  return applicationName ? text("application_session", { application: applicationName, device }) : device;
}

function renderSession(session, end) {
  const { id, ipAddress, createdAt, lastUsedAt, current } = session;
  const device = holderOf(session);
  const created = formatDateTime(createdAt);
  const address = ipAddress ?? text("unknown_address");
  const times = text("session_times", { address, created, used: formatDateTime(lastUsedAt) });
  const button = element("button", { className: "quiet", onclick: () => end(id) }, text("end"));
  button.setAttribute("aria-label", text("end_session", { device, created }));
  const name = current ? text("this_session", { device }) : device;
  return element("li", {}, element("span", {}, name, element("small", {}, times)), button);
}
