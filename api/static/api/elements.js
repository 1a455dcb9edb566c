// Elements that the scripts of the start page create.
import { text } from "./texts.js";

export const $ = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const created = Object.assign(document.createElement(name), attributes);
  created.append(...children);
  return created;
}

/** Return the rows of a description list. Each field is its name, its value, and what it means. */
export function renderFields(fields) {
  return fields.map(([name, value, meaning]) =>
    element(
      "div",
      {},
      element("dt", {}, element("code", {}, name)),
      element("dd", {}, element("code", {}, value), element("small", {}, meaning)),
    ),
  );
}

/** Return a notice and a function that shows a text in it. The notice stays visible while the page scrolls. */
export function createNotice(place) {
  return (content, isBad = false) => {
    place.textContent = content;
    place.className = isBad ? "notice bad" : "notice";
    // Keep elements that get the keyboard focus from scrolling beneath the notice.
    document.documentElement.style.scrollPaddingTop = `${place.offsetHeight + 16}px`;
  };
}

/** Return the text of the remaining time of an access token, in seconds. */
export function remainingTime(left) {
  if (left <= 0) return text("expired");
  const [minutes, seconds] = [Math.floor(left / 60), Math.floor(left % 60)];
  return text(minutes ? "valid_for_minutes" : "valid_for_seconds", { minutes, seconds });
}
