// Forms whose errors are shown at the form, and tied to the fields that they concern.
import { AuthError } from "./auth-client.js";
import { errorText, fieldErrorText } from "./texts.js";

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

/** Show an AuthError at a form. */
export function showError(form, error) {
  const fields = Object.keys(error.errors ?? {})
    .map((name) => form.elements[name])
    .filter(Boolean);
  for (const field of fields) field.setAttribute("aria-invalid", "true");
  form.querySelector(".error").textContent = fieldErrorText(error.errors) || errorText(error);
  const concerned = fields.length ? fields : [form.querySelector("input")];
  describeFieldsBy(form, concerned);
  concerned[0].focus();
}

/** Raise an AuthError if the browser finds a field invalid, with the browser's own message. */
function checkFields(form) {
  const invalid = form.querySelector("input:invalid");
  if (!invalid) return;
  const message = invalid.validationMessage;
  throw new AuthError(message, { code: "", errors: { [invalid.name]: [message] } });
}

/** Run an action with the form's fields when it is submitted; show its error at the form. */
export function onSubmit(form, action) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.hasAttribute("aria-busy")) return;
    clearError(form);
    try {
      checkFields(form);
      button.setAttribute("aria-busy", "true");
      await action(Object.fromEntries(new FormData(form)));
    } catch (error) {
      showError(form, error);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

/** Empty all forms of the page and their errors. */
export function resetForms() {
  for (const form of document.forms) {
    form.reset();
    clearError(form);
  }
}
