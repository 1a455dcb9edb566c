// The list of what happened: each request of the page, and what its client reported.
import { $, element } from "./elements.js";
import { formatTime, text } from "./texts.js";

const LENGTH = 50; // entries

function add(label, status, isGood) {
  $("log-empty").hidden = true;
  const badge = element("span", { className: isGood ? "status" : "status bad" }, status);
  const time = element("small", {}, formatTime(Date.now()));
  $("log").prepend(element("li", { className: "new" }, label, element("span", { className: "outcome" }, time, badge)));
  while ($("log").children.length > LENGTH) $("log").lastChild.remove();
}

/** Log an event. */
export function log(label, status = "", isGood = true) {
  add(element("span", {}, label), status, isGood);
}

/** Send a request as `fetch` does, and log it with its response. */
export async function fetchAndLog(request) {
  // The first part of a session's id identifies it on this page.
  const path = new URL(request.url).pathname.replace(/([0-9a-f]{8})-[0-9a-f-]{27}/, "$1…");
  const label = element("code", {}, `${request.method} ${path}`);
  try {
    const response = await fetch(request);
    add(label, `${response.status} ${response.ok ? "" : await errorCode(response)}`, response.ok);
    return response;
  } catch (error) {
    add(label, text("log_no_response"), false);
    throw error;
  }
}

async function errorCode(response) {
  const body = await response
    .clone()
    .json()
    .catch(() => null);
  return body?.code ?? "";
}
