// Sends the token of an emailed link and the form's fields to the API, and shows the result.
import { fieldErrorText, translateMessage } from "./texts.js";

const form = document.querySelector("form");
const outcome = document.querySelector("#outcome");
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";

// Remove the token from the address bar and the history.
history.replaceState(null, "", location.pathname);

function showOutcome(text, field = null) {
  outcome.textContent = text;
  for (const input of form.querySelectorAll("input")) {
    input.removeAttribute("aria-describedby");
    input.setAttribute("aria-invalid", String(input === field));
  }
  field?.setAttribute("aria-describedby", outcome.id);
  field?.focus();
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  showOutcome("");
  const fields = Object.fromEntries(new FormData(form));
  delete fields.csrfmiddlewaretoken; // for the form without a script
  const body = JSON.stringify({ [form.dataset.tokenField]: token, ...fields });
  try {
    const response = await fetch(form.dataset.endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      credentials: "omit",
      body,
    });
    if (response.ok) {
      form.hidden = true;
      showOutcome(form.dataset.done);
      return;
    }
    const failure = await response.json();
    const [invalidField] = Object.keys(failure.errors ?? {});
    showOutcome(fieldErrorText(failure.errors) || translateMessage(failure.message), form.elements[invalidField]);
  } catch {
    showOutcome(form.dataset.failed);
  }
});
