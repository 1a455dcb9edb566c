// Takes tokens apart, as far as they are public.

function decodeBase64url(base64url) {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function decodeJson(base64url) {
  return JSON.parse(new TextDecoder().decode(decodeBase64url(base64url)));
}

/** The parts of an access token (RFC 7519), which nobody has verified here. */
export function parseAccessToken(token) {
  const parts = token.split(".");
  return { parts, header: decodeJson(parts[0]), claims: decodeJson(parts[1]) };
}

/** A refresh token: prefix, session (16 bytes), generation (4), secret (32) and checksum (8). */
export function parseRefreshToken(token) {
  const start = token.indexOf("_") + 1;
  const bytes = decodeBase64url(token.slice(start));
  const hex = (part) => Array.from(part, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return {
    prefix: token.slice(0, start),
    session: hex(bytes.subarray(0, 16)).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"),
    generation: new DataView(bytes.buffer).getUint32(16),
    checksum: hex(bytes.subarray(52)),
  };
}
