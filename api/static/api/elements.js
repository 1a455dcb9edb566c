// Elements of the start page that show the parts of tokens.
import { parseAccessToken, parseRefreshToken } from "./tokens.js";

const DESCRIPTIONS = {
  alg: "the signature algorithm",
  kid: "the public key that verifies it",
  typ: "the type: an access token",
  iss: "who issued it",
  aud: "for which services",
  sub: "the user's id",
  client_id: "the client that requested it",
  iat: "issued",
  nbf: "not before",
  exp: "valid until",
  auth_time: "when the password was entered",
  jti: "the id of this token",
  sid: "the session it belongs to",
  ver: "changes with roles and password",
  roles: "the roles of the user",
};
const ENCRYPTION_DESCRIPTIONS = {
  alg: "the key encrypts the token directly",
  enc: "the encryption algorithm",
  cty: "the content: a signed token",
  kid: "the key that decrypts it",
};
const TIMESTAMPS = ["iat", "nbf", "exp", "auth_time"];

export function element(name, attributes = {}, ...children) {
  const created = Object.assign(document.createElement(name), attributes);
  created.append(...children);
  return created;
}

export const formatTime = (timestamp) => new Date(timestamp).toLocaleTimeString();
export const formatDateTime = (text) =>
  new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Return the access token with its parts marked, and its header and claims with descriptions. */
export function renderAccessToken(token) {
  const { parts, header, claims } = parseAccessToken(token);
  const text = [
    parts[0],
    ".",
    element("span", { className: "body" }, parts.slice(1, -1).join(".")),
    ".",
    element("span", { className: "signature" }, parts.at(-1)),
  ];
  if (claims) return { text, header: renderFields(header), claims: renderFields(claims) };
  const notice = element("dd", {}, "encrypted: only services that have the key can read them");
  return {
    text,
    header: renderFields(header, ENCRYPTION_DESCRIPTIONS),
    claims: [element("dt", {}, "claims"), notice],
  };
}

function renderFields(fields, descriptions = DESCRIPTIONS) {
  return Object.entries(fields).flatMap(([name, value]) => {
    const isTimestamp = TIMESTAMPS.includes(name);
    const description = [descriptions[name], isTimestamp && formatTime(value * 1000)].filter(Boolean).join(" ");
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return [
      element("dt", {}, element("code", {}, name)),
      element("dd", {}, text, element("small", {}, description)),
    ];
  });
}

/** Return the public parts of a refresh token, with descriptions. */
export function renderRefreshToken(token) {
  const { prefix, session, generation, checksum } = parseRefreshToken(token);
  const rows = [
    ["prefix", prefix, "lets secret scanners recognize it"],
    ["session", session, "one row in the database, however often it is refreshed"],
    ["generation", generation, "counts the refreshes"],
    ["secret", "32 bytes, not shown", "only the service can compute the next one from it"],
    ["checksum", checksum, "detects mistyped and invented tokens without a query"],
  ];
  return rows.flatMap(([name, value, description]) => [
    element("dt", {}, name),
    element("dd", {}, String(value), element("small", {}, description)),
  ]);
}

/** Return the generations of the refresh token, newest first, each with its state. */
export function renderGenerations(tokens, grace) {
  const numbers = tokens.map((token) => parseRefreshToken(token).generation).reverse();
  const state = (age) => {
    if (age === 0) return "current";
    return age === 1 && grace > 0 ? `gets the same response for ${grace} seconds, then used up` : "used up";
  };
  return numbers.map((number) =>
    element(
      "li",
      {},
      element("span", {}, `Generation ${number}`),
      element("span", { className: "hint" }, state(numbers[0] - number)),
    ),
  );
}
