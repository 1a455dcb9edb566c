import { isObject, isText } from "./responses.js";

/** Return the challenge in the error of a sign-in whose account has a second factor, or undefined for any other error. */
export function challengeOf(error) {
  if (error?.code !== "second_factor_required" || !isText(error.details.authSession)) return undefined;
  const { authSession, expiresIn, factors, passkey } = error.details;
  return Array.isArray(factors) ? { authSession, expiresIn, factors, passkey } : undefined;
}

/** Return the passkey options in a response: PublicKeyCredentialRequestOptionsJSON. */
export const parseOptions = (content) => (isObject(content) && isText(content.challenge) ? content : undefined);
