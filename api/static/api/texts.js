// The texts of a page in its language, which the template `api/texts.html` lists.

const list = document.getElementById("texts").content;
const read = (attribute) =>
  new Map([...list.querySelectorAll(`[data-${attribute}]`)].map((one) => [one.dataset[attribute], one.textContent]));
const texts = read("text");
const messages = read("message");

/** Return a text by its name, with the values in place of the names in braces. */
export function text(name, values = {}) {
  return texts.get(name).replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** Return whether the page has a text of this name. */
export const hasText = (name) => texts.has(name);

/** Return a message of the API in the language of the page, or as it was sent if there is no translation. */
export const translateMessage = (message) => messages.get(message) ?? message;

/** Return the text of an `AuthError`. */
export function errorText({ code, message, retryAfter }) {
  const isComplete = code !== "throttled" || retryAfter;
  return isComplete && hasText(`error_${code}`) ? text(`error_${code}`, { seconds: retryAfter }) : translateMessage(message);
}

/** Return the texts of the invalid fields, or an empty string if there are none. */
export const fieldErrorText = (errors) =>
  Object.values(errors ?? {})
    .flat()
    .map(translateMessage)
    .join(" ");

// The reader's own variant of the page's language, such as en-GB, which decides how times are written.
const pageLanguage = document.documentElement.lang;
const locale = navigator.languages.find((tag) => tag.split("-")[0] === pageLanguage.split("-")[0]) ?? pageLanguage;

export const formatTime = (timestamp) => new Date(timestamp).toLocaleTimeString(locale);
export function formatDateTime(text) {
  const date = new Date(text);
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(locale, { dateStyle: isToday ? undefined : "medium", timeStyle: "short" });
}
