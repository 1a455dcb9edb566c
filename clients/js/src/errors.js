/**
 * The error of every failed call: an error response of the service, or no response (`network_error`, status 0).
 *
 * `details` has all fields of the service's response.
 */
export class AuthError extends Error {
  constructor(message, { code, status = 0, retryAfter = null, errors = {}, details = {}, cause } = {}) {
    super(message, { cause });
    Object.assign(this, { name: "AuthError", code, status, retryAfter, errors, details });
  }
}

export function networkError(cause) {
  return new AuthError("The service cannot be reached.", { code: "network_error", cause });
}

export function signedOutError() {
  return new AuthError("No user is signed in.", { code: "signed_out" });
}

/** Return the error for a response that the service does not give, such as the sign-in page of a public network. */
export function unexpectedAnswer(status, cause) {
  const message = "The response is not one of the service. Is there a network that asks for a sign-in?";
  return new AuthError(message, { code: "unexpected_answer", status, cause });
}

/** Return whether the error ends the session. Other errors, such as a proxy's 403, do not. */
export function endsSession(error) {
  return error.status === 403 && error.code.startsWith("refresh_token_");
}

/** Return whether a retry may succeed. A response that cannot be read may have been cut off. */
export function isTemporary({ status, code }) {
  return status === 0 ? code === "network_error" : status === 429 || status >= 500 || (status < 300 && code === "unexpected_answer");
}
