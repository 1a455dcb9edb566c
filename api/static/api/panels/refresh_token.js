// The refresh token: its parts, its generations, and the replay of a stolen one.
import { $, element, renderFields } from "../elements.js";
import { fetchAndLog } from "../log.js";
import { text } from "../texts.js";
import { parseRefreshToken } from "../tokens.js";

const GRACE = Number(document.body.dataset.grace); // seconds
const SHOWN = 3; // generations

/** Return the panel. `start` begins a session, `show` takes the session of the client. */
export function refreshTokenPanel({ auth, url, notice, onClick }) {
  let session;
  let generations = []; // the refresh tokens of this session and when they were received, oldest first

  function remember({ refreshToken, renewedAt, refreshExpiresIn }) {
    if (generations.some((one) => one.refreshToken === refreshToken)) return;
    generations.push({ refreshToken, since: renewedAt, until: renewedAt + refreshExpiresIn * 1000 });
  }

  function tick() {
    const states = generations.map((one, index) => stateOf(one, generations.slice(index + 1), Date.now()));
    const items = states.map((state, index) => renderGeneration(generations[index].refreshToken, state)).reverse();
    $("generations")?.replaceChildren(...items.slice(0, SHOWN));
  }

  async function replay() {
    while (generations.length < 3) remember(await auth.refresh());
    const [{ refreshToken }] = generations;
    const { generation } = parseRefreshToken(refreshToken);
    notice(text("replaying", { generation }));
    const code = await present(refreshToken, url);
    await auth.refresh().catch(() => {});
    notice(text("replayed", { generation, code }), true);
  }

  onClick("refresh", () => auth.refresh());
  if ($("replay")) onClick("replay", replay);
  setInterval(() => session && tick(), 1000);
  return {
    start() {
      generations = [];
    },
    show(shown) {
      session = shown;
      remember(session);
      $("refresh-parts").replaceChildren(...renderFields(partsOf(session.refreshToken)));
      tick();
    },
  };
}

/** Return what the service would do now with a generation. Only the last but one gets a response, within the grace period. */
function stateOf({ until }, successors, now) {
  if (!successors.length) return now < until ? text("generation_current") : text("generation_expired");
  const seconds = Math.ceil(GRACE - (now - successors[0].since) / 1000);
  const isInGrace = successors.length === 1 && seconds > 0;
  return isInGrace ? text("generation_in_grace", { seconds }) : text("generation_used");
}

function renderGeneration(refreshToken, state) {
  const number = parseRefreshToken(refreshToken).generation;
  return element(
    "li",
    {},
    element("span", {}, text("generation", { number })),
    element("span", { className: "hint" }, state),
  );
}

/** Return the public parts of a refresh token, with their meaning. */
function partsOf(token) {
  const { prefix, session, generation, checksum } = parseRefreshToken(token);
  return [
    ["prefix", prefix, text("prefix")],
    ["session", session, text("session")],
    ["generation", String(generation), text("generation_part")],
    ["secret", "…", `${text("secret_value")}: ${text("secret")}`],
    ["checksum", checksum, text("checksum")],
  ];
}

/** Send a refresh token without the client, as a thief would; return the error code. */
async function present(refreshToken, url) {
  const response = await fetchAndLog(
    new Request(`${url}api/auth/refreshtoken`, {
      method: "POST",
      credentials: "omit",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refreshToken }),
    }),
  );
  return response.ok ? "accepted" : (await response.json()).code;
}
