// The dialog in which a user confirms a sign-in or a change: with the password, a code, a recovery code or a passkey.
import { openDialog } from "./dialogs.js";
import { $ } from "./elements.js";
import { onSubmit, showError } from "./forms.js";
import { text } from "./texts.js";

const CODE = /^\d{6}$/; // of an authenticator app; a recovery code has letters

let current; // {kinds, present, presentPasskey} of the open dialog

/**
 * Ask the user for one of `kinds`: "password", or the names of factors in the API. `present(answer)` and `presentPasskey()`
 * send it; their AuthError is shown, and the user tries again. Return whether the user confirmed.
 *
 * Throws the AuthError of a sign-in that has expired.
 */
export async function confirmIdentity(kinds, present, presentPasskey) {
  current = { kinds, present, presentPasskey };
  describe(kinds);
  if ((await openDialog("confirmation")) === "expired") throw current.error;
  return Boolean(current.isConfirmed);
}

function describe(kinds) {
  const input = $("proof");
  $("confirmation-form").reset();
  $("confirmation-error").textContent = "";
  const isPassword = kinds.includes("password");
  const name = isPassword ? "password" : kinds.includes("totp") ? "code" : "recovery_code";
  input.type = isPassword ? "password" : "text";
  input.autocomplete = isPassword ? "current-password" : "one-time-code";
  $("proof-label").textContent = text(`proof_${name}`);
  $("proof-hint").textContent = text(`proof_hint_${name}`);
  $("confirm-by-passkey").hidden = !kinds.includes("passkey");
}

function answerOf(proof) {
  if (current.kinds.includes("password")) return { password: proof };
  const code = proof.replace(/\s/g, "");
  return CODE.test(code) && current.kinds.includes("totp") ? { code } : { recoveryCode: code };
}

async function confirm(task) {
  try {
    await task();
  } catch (error) {
    if (error.code !== "auth_session_invalid") throw error;
    current.error = error;
    return $("confirmation").close("expired");
  }
  current.isConfirmed = true;
  $("confirmation").close();
}

onSubmit($("confirmation-form"), ({ proof }) => confirm(() => current.present(answerOf(proof))));
$("confirm-by-passkey").addEventListener("click", () =>
  confirm(current.presentPasskey).catch((error) => showError($("confirmation-form"), error)),
);
