// Offers a passkey as the second factor of the admin's sign-in, where the browser supports it.
"use strict";
{
  const button = document.getElementById("use-passkey");
  const options = JSON.parse(document.getElementById("passkey-options").textContent);
  const supported = window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON;

  async function confirm() {
    button.disabled = true;
    try {
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
      const credential = await navigator.credentials.get({ publicKey });
      document.getElementById("id_passkey").value = JSON.stringify(credential.toJSON());
      document.getElementById("login-form").submit();
    } catch {
      button.disabled = false; // dismissed by the user, or no passkey on this device: the code is still there
    }
  }

  if (supported) {
    button.hidden = false;
    button.addEventListener("click", confirm);
  }
}
