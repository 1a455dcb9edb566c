// Signing in: with a password and a second factor, or with a passkey.
import { AuthError } from "./factors.js";
import { confirmIdentity } from "./confirmation.js";
import { $ } from "./elements.js";
import { onSubmit, showError } from "./forms.js";

/** Connect the sign-in form, and offer passkeys in its autofill. */
export function signInForm(auth, notice) {
  const form = $("sign-in");
  onSubmit(form, async (fields) => {
    notice("");
    const { secondFactor } = await auth.signIn(fields);
    if (!secondFactor) return;
    const present = (answer) => auth.completeSignIn(secondFactor, answer);
    const isConfirmed = await confirmIdentity(secondFactor.factors, present, () =>
      auth.passkeys.completeSignIn(secondFactor),
    );
    if (!isConfirmed) offerPasskeys(auth, form);
  });
  $("passkey-sign-in").hidden = !auth.passkeys.isSupported;
  $("passkey-sign-in").addEventListener("click", async () => {
    notice("");
    try {
      await auth.passkeys.signIn();
    } catch (error) {
      showError(form, error);
      offerPasskeys(auth, form);
    }
  });
  auth.addEventListener("signedout", () => offerPasskeys(auth, form));
  auth.session().then((session) => session ?? offerPasskeys(auth, form));
}

/** Offer passkeys in the autofill of the form, until the user signs in or uses one elsewhere on the page. */
async function offerPasskeys(auth, form) {
  if (!(await auth.passkeys.supportsAutofill())) return;
  await auth.passkeys.signIn({ conditional: true }).catch((error) => {
    if (!(error instanceof AuthError)) throw error;
    // The user has not asked for a passkey: only the service's refusal of a chosen one is worth showing.
    if (error.code === "invalid_credentials") showError(form, error);
  });
}
