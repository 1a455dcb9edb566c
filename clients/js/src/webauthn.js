// Passkeys of the browser, with options and responses as JSON (WebAuthn Level 3 section 5.1).
import { AuthError } from "./auth-client.js";

const MESSAGES = {
  passkey_canceled: "No passkey was used. Try again, or choose another way.",
  passkey_exists: "This device already has a passkey for this account.",
  passkey_unavailable: "Passkeys cannot be used here.",
};
/** Codes by the name of the browser's error. All others mean that the browser or the page cannot use passkeys. */
const CODES = { NotAllowedError: "passkey_canceled", AbortError: "passkey_canceled", InvalidStateError: "passkey_exists" };
const BUFFERS = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];

/** Return the error `code` of this module. */
export function passkeyError(code, cause) {
  return new AuthError(MESSAGES[code], { code, cause });
}

/** Create a passkey. Throws AuthError, or the reason of `signal`. */
export function createPasskey(options, signal) {
  return ask(signal, async (credentials) =>
    credentials.create({ publicKey: convert("parseCreationOptionsFromJSON", options), signal }),
  );
}

/** Use a passkey. `mediation` is "conditional" to offer passkeys in autofill. Throws AuthError, or the reason of `signal`. */
export function usePasskey(options, signal, mediation) {
  return ask(signal, async (credentials) =>
    credentials.get({ publicKey: convert("parseRequestOptionsFromJSON", options), signal, mediation }),
  );
}

async function ask(signal, task) {
  signal.throwIfAborted();
  try {
    return toJson(await task(globalThis.navigator.credentials));
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw passkeyError(CODES[error?.name] ?? "passkey_unavailable", error);
  }
}

/** Return options for the browser. Browsers before 2025, such as Safari before 18.4, cannot convert them. */
function convert(method, options) {
  return globalThis.PublicKeyCredential?.[method]?.(options) ?? decodeOptions(options);
}

function decodeOptions({ challenge, user, allowCredentials, excludeCredentials, ...others }) {
  const decodeIds = (list) => list?.map((one) => ({ ...one, id: decode(one.id) }));
  return {
    ...others,
    challenge: decode(challenge),
    ...(user && { user: { ...user, id: decode(user.id) } }),
    allowCredentials: decodeIds(allowCredentials) ?? [],
    excludeCredentials: decodeIds(excludeCredentials) ?? [],
  };
}

function toJson(credential) {
  try {
    const json = credential.toJSON();
    if (json.response.clientDataJSON) return json;
  } catch {
    // The browser, or a password manager that replaces its function, has no JSON form.
  }
  return encodeCredential(credential);
}

function encodeCredential(credential) {
  const { id, rawId, type, authenticatorAttachment, response } = credential;
  const buffers = BUFFERS.filter((name) => response[name]).map((name) => [name, encode(response[name])]);
  return {
    id,
    rawId: encode(rawId),
    type,
    authenticatorAttachment: authenticatorAttachment ?? undefined,
    response: { ...Object.fromEntries(buffers), transports: response.getTransports?.() },
    clientExtensionResults: credential.getClientExtensionResults?.() ?? {},
  };
}

function decode(text) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

function encode(buffer) {
  const binary = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
