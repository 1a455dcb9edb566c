// The dialogs of the start page.
import { $ } from "./elements.js";

for (const button of document.querySelectorAll("dialog [data-close]"))
  button.addEventListener("click", () => button.closest("dialog").close(button.dataset.close));

/** Open a dialog, and return its return value when it is closed: an empty string if the user cancels. */
export function openDialog(id) {
  const dialog = $(id);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

/** Close every open dialog, as a user does who cancels. */
export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}
