// The access token: how long it is valid, and what is in it.
import { $, element, remainingTime, renderFields } from "../elements.js";
import { formatTime, hasText, text } from "../texts.js";
import { parseAccessToken } from "../tokens.js";

const TIMESTAMPS = ["iat", "nbf", "exp", "auth_time"];

/** Return the panel. `show` takes a session of the client. */
export function accessTokenPanel() {
  let session;
  const tick = () => {
    if (!session) return;
    const left = session.expiresIn - (Date.now() - session.renewedAt) / 1000;
    $("countdown").textContent = remainingTime(left);
    $("life").value = Math.max(0, left / session.expiresIn);
  };
  setInterval(tick, 1000);
  return {
    show(shown) {
      session = shown;
      const { parts, header, claims } = parseAccessToken(session.accessToken);
      $("jwt").replaceChildren(...renderParts(parts));
      $("jwt-header").replaceChildren(...renderFields(describe(header, claims ? "claim" : "encrypted")));
      $("jwt-claims").replaceChildren(
        ...renderFields(claims ? describe(claims, "claim") : [[text("claims"), "…", text("encrypted")]]),
      );
      tick();
    },
  };
}

/** Return the token with its parts marked. */
function renderParts(parts) {
  const payload = element("span", { className: "payload" }, parts.slice(1, -1).join("."));
  return [parts[0], ".", payload, ".", element("span", { className: "signature" }, parts.at(-1))];
}

function describe(fields, kind) {
  return Object.entries(fields).map(([name, value]) => {
    const key = `${kind}_${name}`;
    const time = TIMESTAMPS.includes(name) && formatTime(value * 1000);
    const meaning = [hasText(key) && text(key), time].filter(Boolean).join(" ");
    return [name, typeof value === "object" ? JSON.stringify(value) : String(value), meaning];
  });
}
