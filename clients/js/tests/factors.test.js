// Second factors and passkeys, against a fake service and a fake browser.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { AuthClient } from "../src/factors.js";
import {
  clientOf,
  fakeLocks,
  json,
  lost,
  refusal,
  refused,
  service,
  setGlobal,
  settled,
  signedIn,
  URL_OF_SERVICE,
} from "./fakes.js";

const OPTIONS = {
  challenge: "-_8A",
  timeout: 300_000,
  rpId: "auth.example.com",
  allowCredentials: [{ type: "public-key", id: "AQI" }],
};
const CHALLENGE = { authSession: "authsess_1", expiresIn: 300, factors: ["totp", "passkey"], passkey: OPTIONS };
const ALICE = { id: 5, username: "alice", email: "", fullname: "", roles: [] };
const bytes = (...values) => new Uint8Array(values).buffer;
const credential = {
  id: "AQI",
  rawId: bytes(1, 2),
  type: "public-key",
  authenticatorAttachment: null,
  response: { clientDataJSON: bytes(251, 255), authenticatorData: bytes(0), signature: bytes(3), userHandle: null },
  getClientExtensionResults: () => ({}),
};
const encoded = {
  id: "AQI",
  rawId: "AQI",
  type: "public-key",
  response: { clientDataJSON: "-_8", authenticatorData: "AA", signature: "Aw" },
  clientExtensionResults: {},
};

/** The service for an account with factors: `answers` by path, or else the fake service of all tests. */
function fetchOf(answers) {
  return async (request) => {
    const { pathname } = new URL(request.url);
    const answer = answers[`${request.method} ${pathname.replace("/api/auth/", "")}`];
    if (!answer) return service.fetch(request);
    const body = JSON.parse((await request.text()) || "null");
    const { method, headers } = request;
    service.requests.push({ method, path: pathname, headers, body });
    return answer(body);
  };
}

const secondFactor = {
  "POST signin": () => json({ message: "A second factor.", code: "second_factor_required", ...CHALLENGE }, 403),
  "POST signin/second-factor": ({ authSession, code }) =>
    authSession === "authsess_1" && code === "123456" ? json({ ...ALICE, ...service.pair() }) : refusal(403, "invalid_code"),
  "POST signin/passkey/options": () => json(OPTIONS),
  "POST signin/passkey": () => json({ ...ALICE, ...service.pair() }),
};

function withFactors(answers = {}, options = {}) {
  const client = new AuthClient({ url: URL_OF_SERVICE, fetch: fetchOf({ ...secondFactor, ...answers }), ...options });
  client.heard = [];
  client.addEventListener("signedin", ({ detail }) => client.heard.push(detail.user.username));
  return client;
}

async function signedInWithFactors(answers) {
  const client = withFactors(answers);
  await client.signIn({ passkey: encoded });
  service.user = ALICE;
  return client;
}

const bodies = (path) => service.requests.filter((one) => one.path === `/api/auth/${path}`).map(({ body }) => body);
const signIn = (client) => client.signIn({ username: "alice", password: "right" });

/** Give the browser passkeys. `use` receives what `navigator.credentials` receives. */
function setCredentials(use) {
  setGlobal("navigator", { credentials: { get: async (request) => use(request), create: async (request) => use(request) } });
}

/** Wait in autofill, as browsers do, until the request is aborted. */
const waitForAbort = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));

test("a sign-in to an account with a second factor resolves to a challenge, and starts no session", async () => {
  const client = withFactors();

  const result = await signIn(client);

  assert.deepEqual(result, { secondFactor: CHALLENGE });
  assert.equal(await client.session(), null);
  assert.deepEqual(client.heard, []);
});

test("a correct code completes the sign-in, also after a wrong one", async () => {
  const client = withFactors();
  const challenge = (await signIn(client)).secondFactor;

  await assert.rejects(client.completeSignIn(challenge, { code: "000000" }), refused("invalid_code", 403));
  const session = await client.completeSignIn(challenge, { code: "123456" });

  assert.equal(session.user.username, "alice");
  assert.deepEqual(client.heard, ["alice"]);
  assert.equal((await client.session()).accessToken, "a0");
});

test("with cookies, the sign-in asks for cookies, and no token is stored", async () => {
  const client = withFactors({}, { transport: "cookie" });

  const { secondFactor: challenge } = await signIn(client);
  await client.completeSignIn(challenge, { code: "123456" });
  await client.signIn({ passkey: encoded });

  assert.equal(bodies("signin")[0].useCookies, true);
  assert.equal(bodies("signin/passkey")[0].useCookies, true);
  assert.deepEqual(Object.keys(await client.session()).filter((name) => name.endsWith("Token")), []);
});

test("a second step waits for a refresh of another tab", async () => {
  const locks = fakeLocks();
  setGlobal("navigator", { locks });
  const client = withFactors();
  const { secondFactor: challenge } = await signIn(client);
  let finishRefresh;
  locks.request("other tab", {}, () => new Promise((done) => (finishRefresh = done)));

  const completed = client.completeSignIn(challenge, { code: "123456" });
  await new Promise(setImmediate);
  assert.deepEqual(bodies("signin/second-factor"), []);
  finishRefresh();

  assert.equal((await completed).user.username, "alice");
});

test("a challenge without an authSession is an error", async () => {
  const client = withFactors({ "POST signin": () => refusal(403, "second_factor_required") });

  await assert.rejects(signIn(client), refused("second_factor_required", 403));
});

test("a step-up stores the new access token", async () => {
  const client = await signedInWithFactors({
    "POST reauthenticate": ({ code }) =>
      code === "123456" ? json({ accessToken: "stepped-up", expiresIn: 900 }) : refusal(403, "invalid_code"),
  });

  await assert.rejects(client.stepUp({ code: "000000" }), refused("invalid_code", 403));
  await client.stepUp({ code: "123456" });

  assert.equal((await client.session()).accessToken, "stepped-up");
});

test("the browser gets bytes and the service gets base64url if the browser cannot convert them", async () => {
  const requests = [];
  setCredentials((request) => {
    requests.push(request);
    return credential;
  });

  await withFactors().passkeys.signIn({ remember: false });

  const [{ publicKey, mediation }] = requests;
  assert.deepEqual([...publicKey.challenge], [251, 255, 0]);
  assert.deepEqual([...publicKey.allowCredentials[0].id], [1, 2]);
  assert.equal(mediation, undefined);
  assert.deepEqual(bodies("signin/passkey"), [{ remember: false, credential: encoded }]);
});

test("the browser's own conversion takes precedence", async () => {
  setGlobal("PublicKeyCredential", { parseRequestOptionsFromJSON: ({ challenge }) => ({ parsed: challenge }) });
  setCredentials(({ publicKey }) => ({ toJSON: () => ({ id: publicKey.parsed, response: { clientDataJSON: "x" } }) }));

  await withFactors().passkeys.signIn();

  assert.equal(bodies("signin/passkey")[0].credential.id, OPTIONS.challenge);
});

for (const [name, toJSON] of [
  ["that fails", () => { throw new TypeError("Illegal invocation"); }],
  ["that is empty", () => ({ response: {} })],
]) {
  test(`a passkey of a password manager with a JSON form ${name} is converted`, async () => {
    setCredentials(() => ({ ...credential, toJSON }));

    await withFactors().passkeys.signIn();

    assert.deepEqual(bodies("signin/passkey")[0].credential, encoded);
  });
}

test("a passkey completes a sign-in, with the options of the challenge", async () => {
  setCredentials(() => credential);
  const client = withFactors({ "POST signin/second-factor": () => json({ ...ALICE, ...service.pair() }) });
  const { secondFactor: challenge } = await signIn(client);

  await client.passkeys.completeSignIn(challenge);

  assert.deepEqual(bodies("signin/second-factor"), [{ passkey: encoded, authSession: "authsess_1" }]);
  const withoutPasskey = { ...challenge, passkey: undefined };
  await assert.rejects(client.passkeys.completeSignIn(withoutPasskey), refused("passkey_unavailable", 0));
});

test("a registration sends the browser's response and name, and renews the session's roles", async () => {
  const created = { ...credential, response: { ...credential.response, getTransports: () => ["internal"] } };
  const requests = [];
  setCredentials((request) => {
    requests.push(request);
    return created;
  });
  const user = { id: "Cg", name: "alice", displayName: "Alice" };
  const client = await signedInWithFactors({
    "POST factors/passkeys/options": () => json({ ...OPTIONS, user, excludeCredentials: [{ type: "public-key", id: "CQ" }] }),
    "POST factors/passkeys": ({ name }) => json({ id: "1", name, recoveryCodes: ["a"] }, 201),
  });

  const enrolled = await client.passkeys.register("Laptop");

  assert.deepEqual(enrolled, { id: "1", name: "Laptop", recoveryCodes: ["a"] });
  assert.deepEqual([...requests[0].publicKey.user.id], [10]);
  assert.deepEqual([...requests[0].publicKey.excludeCredentials[0].id], [9]);
  assert.deepEqual(bodies("factors/passkeys")[0].credential.response.transports, ["internal"]);
  assert.equal(service.refreshes, 1);
});

test("a step-up with a passkey uses options of the session", async () => {
  setCredentials(() => credential);
  const client = await signedInWithFactors({
    "POST reauthenticate/passkey/options": () => json(OPTIONS),
    "POST reauthenticate": () => json({ accessToken: "stepped-up", expiresIn: 900 }),
  });

  await client.passkeys.stepUp();

  assert.deepEqual(bodies("reauthenticate"), [{ passkey: encoded }]);
});

for (const [name, code] of [
  ["NotAllowedError", "passkey_canceled"],
  ["InvalidStateError", "passkey_exists"],
  ["SecurityError", "passkey_unavailable"],
]) {
  test(`the browser's ${name} is the error ${code}`, async () => {
    setCredentials(() => Promise.reject(new DOMException("", name)));

    await assert.rejects(withFactors().passkeys.signIn(), (error) => refused(code, 0)(error) && error.cause.name === name);
  });
}

test("a browser without passkeys is an error, and says so", async () => {
  const { passkeys } = withFactors();

  assert.deepEqual([passkeys.isSupported, await passkeys.supportsAutofill()], [false, false]);
  await assert.rejects(passkeys.signIn(), refused("passkey_unavailable", 0));
  await assert.rejects(passkeys.signIn({ conditional: true }), refused("passkey_unavailable", 0));
});

/** Start to offer passkeys in autofill, and wait until the browser does. */
async function offering(client, options) {
  setGlobal("PublicKeyCredential", { isConditionalMediationAvailable: async () => true });
  const requests = [];
  setCredentials((request) => {
    requests.push(request);
    return request.mediation === "conditional" ? waitForAbort(request) : credential;
  });
  const offered = client.passkeys.signIn({ conditional: true, ...options });
  offered.catch(() => {});
  while (!requests.length) await new Promise(setImmediate);
  return { offered, requests };
}

test("another passkey call ends the offer in autofill", async () => {
  const client = withFactors();
  const { offered } = await offering(client);

  const session = await client.passkeys.signIn();

  assert.equal(session.user.username, "alice");
  await assert.rejects(offered, refused("passkey_canceled", 0));
});

test("a sign-in with a password ends the offer in autofill", async () => {
  const client = withFactors({ "POST signin": () => json({ ...ALICE, ...service.pair() }) });
  const { offered } = await offering(client);

  await signIn(client);

  await assert.rejects(offered, refused("passkey_canceled", 0));
});

test("an aborted offer in autofill is rejected with the signal's reason", async () => {
  const controller = new AbortController();
  const { offered, requests } = await offering(withFactors(), { signal: controller.signal });

  controller.abort();

  await assert.rejects(offered, { name: "AbortError" });
  assert.equal(requests[0].signal.aborted, true);
});

test("an offer in autofill renews its options before they expire", async () => {
  const expiries = [];
  mock.method(AbortSignal, "timeout", (milliseconds) => {
    const controller = new AbortController();
    if (milliseconds === 240_000) expiries.push(controller);
    return controller.signal;
  });
  const { requests } = await offering(withFactors());

  expiries[0].abort();
  while (requests.length < 2) await new Promise(setImmediate);

  assert.deepEqual([requests[0].signal.aborted, requests[1].signal.aborted], [true, false]);
  assert.equal(bodies("signin/passkey/options").length, 2);
});

test("factors are listed, added, renamed and removed", async () => {
  const listed = { factors: [{ id: "1" }], recoveryCodesLeft: 9 };
  const client = await signedInWithFactors({
    "GET factors": () => json(listed),
    "POST factors/totp": ({ name }) => json({ id: "2", secret: name }, 201),
    "POST factors/totp/confirm": ({ id, code }) => json({ id, recoveryCodes: [code] }),
    "POST factors/recovery-codes": () => json({ recoveryCodes: ["new"] }),
    "PATCH factors/a%2Fb": ({ name }) => json({ name }),
    "DELETE factors/1": () => new Response(null, { status: 204 }),
  });
  const { factors } = client;

  assert.deepEqual(await factors.list(), listed);
  assert.deepEqual(await factors.addAuthenticator("Phone"), { id: "2", secret: "Phone" });
  assert.deepEqual(await factors.confirmAuthenticator("2", "123456"), { id: "2", recoveryCodes: ["123456"] });
  assert.deepEqual(await factors.renewRecoveryCodes(), ["new"]);
  assert.deepEqual(await factors.rename("a/b", "Old phone"), { name: "Old phone" });
  assert.equal(await factors.remove("1"), undefined);
});

test("a factor is added even if the session cannot be renewed afterwards", async () => {
  const client = await signedInWithFactors({ "POST factors/totp/confirm": ({ id }) => json({ id, recoveryCodes: ["a"] }) });
  service.troubles = [() => refusal(500, "internal_error"), lost, lost, lost];

  const confirmed = await settled(client.factors.confirmAuthenticator("2", "123456"));

  assert.deepEqual(confirmed.recoveryCodes, ["a"]);
});

test("the client without passkeys takes a passkey of another library", async () => {
  const client = clientOf({ fetch: fetchOf(secondFactor) });

  assert.deepEqual(await client.passkeyOptions(), OPTIONS);
  assert.equal((await client.signIn({ passkey: encoded })).user.username, "alice");
});

test("a client that confirms its password sends nothing else", async () => {
  const client = await signedIn({ fetch: fetchOf({ "POST reauthenticate": () => json({ accessToken: "b", expiresIn: 900 }) }) });

  await client.reauthenticate("right");

  assert.deepEqual(bodies("reauthenticate"), [{ password: "right" }]);
});
