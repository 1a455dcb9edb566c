// Elements of the start page: what tokens say, and how it is written.
import { parseAccessToken, parseRefreshToken } from "./tokens.js";

const DESCRIPTIONS = {
  alg: "how it is signed",
  kid: "with which of the public keys",
  typ: "what kind of token it is",
  iss: "who issued it",
  aud: "for which services",
  sub: "the user's id",
  client_id: "who asked for it",
  iat: "issued",
  nbf: "not before",
  exp: "good until",
  auth_time: "when the password was given",
  jti: "this token's own id",
  sid: "the session it belongs to",
  ver: "changes with roles and password",
  roles: "what the user may reach",
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

/** An access token as it is sent, with its three parts told apart; its header and its claims, explained. */
export function renderAccessToken(token) {
  const { parts, header, claims } = parseAccessToken(token);
  const [head, body, signature] = parts;
  const text = [
    head,
    ".",
    element("span", { className: "body" }, body),
    ".",
    element("span", { className: "signature" }, signature),
  ];
  return { text, header: renderFields(header), claims: renderFields(claims) };
}

function renderFields(fields) {
  return Object.entries(fields).flatMap(([name, value]) => {
    const isTimestamp = TIMESTAMPS.includes(name);
    const description = [DESCRIPTIONS[name], isTimestamp && formatTime(value * 1000)].filter(Boolean).join(" ");
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return [
      element("dt", {}, element("code", {}, name)),
      element("dd", {}, text, element("small", {}, description)),
    ];
  });
}

/** What is public of a refresh token, explained. */
export function renderRefreshToken(token) {
  const { prefix, session, generation, checksum } = parseRefreshToken(token);
  const rows = [
    ["prefix", prefix, "by which secret scanners know it"],
    ["session", session, "one row in the database, however often it is refreshed"],
    ["generation", generation, "counts the refreshes"],
    ["secret", "32 bytes, not shown", "from which only the service can compute the next"],
    ["checksum", checksum, "refuses what is mistyped or invented, without a query"],
  ];
  return rows.flatMap(([name, value, description]) => [
    element("dt", {}, name),
    element("dd", {}, String(value), element("small", {}, description)),
  ]);
}

/** The generations of a refresh token that were seen, newest first, and what each is good for. */
export function renderGenerations(tokens, grace) {
  const numbers = tokens.map((token) => parseRefreshToken(token).generation).reverse();
  const state = (age) => {
    if (age === 0) return "current";
    return age === 1 && grace > 0 ? `answered alike for ${grace} seconds, then spent` : "spent";
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
