// Parses the public parts of tokens.

function decodeBase64url(base64url) {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function decodeJson(base64url) {
  return JSON.parse(new TextDecoder().decode(decodeBase64url(base64url)));
}

/** Return the parts of an access token (RFC 7519) without verifying it. An encrypted one has no readable claims. */
export function parseAccessToken(token) {
  const parts = token.split(".");
  const isEncrypted = parts.length === 5;
  return { parts, header: decodeJson(parts[0]), claims: isEncrypted ? null : decodeJson(parts[1]) };
}

/** Return the public parts of a refresh token: session (16 bytes), generation (4), secret (32), checksum (8). */
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
