// Reads the service's responses. Everything is checked: a proxy or a public network may answer instead.
import { AuthError, networkError, unexpectedAnswer } from "./errors.js";

/**
 * Return the content of a response after `parse`, which returns undefined for content that it does not expect.
 *
 * Throws AuthError, or the reason of `signal` if it is aborted.
 */
export async function readResponse(response, parse, signal) {
  const text = await response.text().catch((error) => {
    throw signal?.aborted ? signal.reason : networkError(error); // The response was incomplete.
  });
  const content = decode(text, response.headers.get("Content-Type") ?? "");
  if (!response.ok) throw refusal(response, content);
  const parsed = content === undefined ? undefined : parse(content, response);
  if (parsed === undefined) throw unexpectedAnswer(response.status);
  return parsed;
}

/** Return parsed JSON, plain text, or null for an empty response; undefined for anything else. */
function decode(text, type) {
  if (!text) return null;
  if (type.startsWith("text/plain")) return text;
  return type.includes("json") ? parseJson(text) : undefined;
}

/** Return the value of a JSON text, or undefined if it is none. */
export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusal(response, content) {
  const details = isObject(content) ? content : {};
  const { status } = response;
  const code = isText(details.code) ? details.code : "unexpected_answer";
  const message = isText(details.message) ? details.message : `Status ${status}`;
  const errors = isObject(details.errors) ? details.errors : {};
  return new AuthError(message, { code, status, retryAfter: retryAfter(response), errors, details });
}

/** Return `Retry-After` in seconds. The header is a number or a date (RFC 9110 section 10.2.3). */
function retryAfter(response) {
  const value = response.headers.get("Retry-After");
  if (value === null) return null;
  const seconds = Number(value) || (Date.parse(value) - Date.now()) / 1000;
  return seconds > 0 && seconds < Infinity ? Math.ceil(seconds) : null;
}

/** Return any content of a response that has the service's format. No 200 of the service is empty. */
export const parseAny = (content, { status }) => (content === null && status === 200 ? undefined : content);

/** Return null for the empty response to a sign-out. */
export const parseNothing = (content, { status }) => (status === 204 ? null : undefined);

/** Return the user in a response. */
export function parseUser(content) {
  if (!isObject(content)) return undefined;
  const { id, username, email, fullname, roles } = content;
  const isUser = (Number.isInteger(id) || isText(id)) && isText(username) && Array.isArray(roles) && roles.every(isText);
  return isUser ? { id, username, email, fullname, roles } : undefined;
}

/** Return the response to a sign-up. */
export const parseSignUp = (content) => parseUser(content) && content;

/** Return the access token and its lifetime in a response; with cookies, only the lifetime. */
export function parseAccess(content, usesCookies) {
  if (!isObject(content)) return undefined;
  const { accessToken, expiresIn } = content;
  if (!(expiresIn > 0 && Number.isFinite(expiresIn))) return undefined;
  if (usesCookies) return { expiresIn };
  return isToken(accessToken) ? { accessToken, expiresIn } : undefined;
}

/** Return both tokens and their lifetimes in a response; with cookies, only the lifetimes. */
export function parseTokens(content, usesCookies) {
  const access = parseAccess(content, usesCookies);
  if (!access) return undefined;
  const { refreshToken, refreshExpiresIn } = content;
  if (usesCookies) return { ...access, refreshExpiresIn };
  return isToken(refreshToken) ? { ...access, refreshToken, refreshExpiresIn } : undefined;
}

/** Return whether a value is a session that this client has stored, with tokens or, with cookies, without. */
export function isSession(value) {
  if (!isObject(value) || !parseUser(value.user) || !Number.isFinite(value.renewedAt) || !(value.expiresIn > 0)) return false;
  return [value.accessToken, value.refreshToken].every((token) => token === undefined || isToken(token));
}

/** Return whether a value can be sent in a header. */
function isToken(value) {
  return isText(value) && /^[!-~]+$/.test(value);
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isText(value) {
  return typeof value === "string" && value !== "";
}
