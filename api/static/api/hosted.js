// What a script adds to the hosted pages: passkeys, also in autofill, and forms that are sent once.
import { AuthClient, AuthError } from "./factors.js";
import { errorText } from "./texts.js";

const form = document.querySelector("form");
const button = form.querySelector("[data-passkey]");

/** A client whose sign-ins send the form of the page: the service sets its cookie and redirects. */
class PageClient extends AuthClient {
  async signIn({ passkey }) {
    submit(passkey);
  }
  async completeSignIn(challenge, { passkey }) {
    submit(passkey);
  }
}

function submit(passkey) {
  form.elements.passkey.value = JSON.stringify(passkey);
  form.submit();
}

function showError(text) {
  form.querySelector("[data-passkey-error]").textContent = text;
}

/** Ask for a passkey: the second factor of the sign-in on this page, or one that signs in alone. */
function usePasskey(client) {
  const options = document.getElementById("passkey-options");
  if (options) return client.passkeys.completeSignIn({ passkey: JSON.parse(options.textContent) });
  return client.passkeys.signIn();
}

/** Offer passkeys in the autofill of the username, until the user chooses one or another way. */
async function offerPasskeys(client) {
  if (!form.querySelector("[autocomplete~=webauthn]") || !(await client.passkeys.supportsAutofill())) return;
  // The user has not asked for a passkey, so that a failure is not worth a message.
  await client.passkeys.signIn({ conditional: true }).catch(() => {});
}

function connectPasskeys() {
  const client = new PageClient({ url: form.dataset.base });
  if (!client.passkeys.isSupported) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    showError("");
    usePasskey(client).catch((error) => {
      if (!(error instanceof AuthError)) throw error;
      showError(errorText(error));
      offerPasskeys(client);
    });
  });
  offerPasskeys(client);
}

// A second click would sign up twice, and report that the username is in use.
let isSent = false;
form.addEventListener("submit", (event) => {
  if (isSent) event.preventDefault();
  isSent = true;
});
addEventListener("pageshow", () => (isSent = false));

if (button) connectPasskeys();
