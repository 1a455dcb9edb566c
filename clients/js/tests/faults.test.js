// What goes wrong around the client: storages, networks, clocks, other tabs, and responses that are not the service's.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { AuthError } from "../src/auth-client.js";
import {
  clientOf,
  fakeLocks,
  json,
  LIFETIME,
  lost,
  pass,
  refusal,
  refused,
  service,
  setGlobal,
  settled,
  shared,
  signedIn,
} from "./fakes.js";

const ALICE = { username: "alice", password: "right" };
const html = (status = 200) =>
  new Response("<h1>Sign in to the hotel network</h1>", { status, headers: { "Content-Type": "text/html" } });
const throwing = () => {
  throw new DOMException("blocked", "SecurityError");
};

/** A client with cookies, whose service is `answer`; the tests see the requests. */
function cookieClient(storage, answer) {
  setGlobal("document", { cookie: "csrftoken=proof", baseURI: "https://auth.example.com/" });
  const user = { id: 1, username: "alice", email: "", fullname: "", roles: [] };
  const paths = [];
  const client = clientOf({
    transport: "cookie",
    storage,
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      paths.push(pathname);
      const answered = answer?.(pathname);
      if (answered) return answered;
      if (pathname.includes("signout")) return new Response(null, { status: 204 });
      return json({ ...user, expiresIn: LIFETIME, refreshExpiresIn: 86400 });
    },
  });
  return { client, paths };
}

// 1. What signs out asks the service

test("with cookies, a sign-out asks the service although nothing is stored", async () => {
  const { client, paths } = cookieClient(shared());

  await client.signOut();
  await client.signOutEverywhere();

  assert.deepEqual(paths, ["/api/auth/signout", "/api/auth/refreshtoken", "/api/auth/signout-all"]);
});

test("with cookies, a sign-out without a session succeeds, and one that the service refuses fails", async () => {
  const answers = [refusal(401, "token_missing"), refusal(403, "csrf_failed")];
  const { client } = cookieClient(shared(), () => answers.shift());

  await client.signOut();
  await assert.rejects(client.signOut(), refused("csrf_failed", 403));
});

test("tokens that the storage has lost are still used to sign out", async () => {
  const storage = shared();
  const client = await signedIn({ storage });
  storage.clear();

  await client.signOut();

  assert.equal(service.requests.at(-1).path, "/api/auth/signout");
  assert.equal(service.requests.at(-1).body.refreshToken, "r0");
});

test("tokens that the storage has lost are still used to sign out everywhere", async () => {
  const storage = shared();
  const client = await signedIn({ storage });
  storage.clear();

  await client.signOutEverywhere();

  assert.equal(service.requests.at(-1).headers.get("Authorization"), "Bearer a1");
});

test("a sign-out whose request was lost can be repeated", async () => {
  let isOffline = true;
  const client = await signedIn({
    fetch: (request) => (request.url.endsWith("/signout") && isOffline ? lost() : service.fetch(request)),
  });
  await assert.rejects(settled(client.signOut()), refused("network_error", 0));
  assert.equal(await client.session(), null);
  isOffline = false;

  await client.signOut();

  assert.equal(service.requests.at(-1).body.refreshToken, "r0");
});

// 2. Storage that is cleared

test("a cleared storage signs out with the next call", async () => {
  const storage = shared();
  const client = await signedIn({ storage });

  storage.clear();
  await client.fetch("/api/orders");

  assert.deepEqual(client.heard.at(-1), ["signedout", "storage_cleared"]);
});

test("a storage that is cleared is noticed without a call", async () => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setInterval"] });
  setGlobal("document", { visibilityState: "visible" });
  const storage = shared();
  const client = await signedIn({ storage });

  storage.clear();
  mock.timers.tick(1000);
  await new Promise(setImmediate);

  assert.deepEqual(client.heard.at(-1), ["signedout", "storage_cleared"]);
});

// 3. Responses that are not the service's

for (const [name, answer] of [
  ["HTML", () => html()],
  ["JSON that is no object", () => json([])],
  ["an object without tokens", () => json({ message: "Welcome to the hotel" })],
  ["HTML that claims to be JSON", () => new Response("<h1>", { headers: { "Content-Type": "application/json" } })],
  ["an empty response", () => new Response(null, { status: 200 })],
  ["a lifetime that is no number", () => json({ ...service.pair(), id: 1, username: "a", roles: [], expiresIn: "x" })],
]) {
  test(`${name} is no sign-in and no refresh, and changes nothing`, async () => {
    let isCaptive = false;
    const client = await signedIn({ fetch: (request) => (isCaptive ? Promise.resolve(answer()) : service.fetch(request)) });
    isCaptive = true;

    await assert.rejects(settled(client.refresh()), refused("unexpected_answer", 200));
    await assert.rejects(client.signIn(ALICE), refused("unexpected_answer", 200));

    assert.equal((await client.session()).refreshToken, "r0");
    assert.deepEqual(client.heard, [["signedin", undefined], ["refreshfailed", "unexpected_answer"]]);
  });
}

test("HTML is no response to a sign-up, a call, a sign-out or a password confirmation", async () => {
  let isCaptive = false;
  const client = await signedIn({ fetch: (request) => (isCaptive ? Promise.resolve(html()) : service.fetch(request)) });
  isCaptive = true;

  const isUnexpected = refused("unexpected_answer", 200);
  await assert.rejects(client.signUp({}), isUnexpected);
  await assert.rejects(client.call("GET", "auth/me"), isUnexpected);
  await assert.rejects(client.reauthenticate("right"), isUnexpected);
  await assert.rejects(client.signOutEverywhere(), isUnexpected);
  await assert.rejects(settled(client.signOut()), isUnexpected);
});

test("a user without a valid name or roles is no sign-in", async () => {
  for (const wrong of [{ roles: [1] }, { roles: "ROLE_USER" }, { username: "" }, { id: null }]) {
    const user = { id: 1, username: "alice", roles: [], ...wrong };
    const client = clientOf({ fetch: async () => json({ ...user, ...service.pair() }) });
    await assert.rejects(client.signIn(ALICE), refused("unexpected_answer", 200));
  }
});

test("an empty 200 is no response to a call, and an empty 202 is one", async () => {
  let status = 200;
  const empty = clientOf({ fetch: async () => new Response(null, { status }) });

  await assert.rejects(empty.call("GET", "auth/me"), refused("unexpected_answer", 200));
  status = 202;
  assert.equal(await empty.call("POST", "auth/password/reset", {}), null);
});

test("JSON is no response to a sign-out", async () => {
  const client = await signedIn({
    fetch: (request) => (request.url.endsWith("/signout") ? Promise.resolve(json({})) : service.fetch(request)),
  });

  await assert.rejects(settled(client.signOut()), refused("unexpected_answer", 200));
});

test("no redirect is followed with a password or a token", async () => {
  const client = await signedIn();
  await client.refresh();
  await client.signOut();

  assert.deepEqual(new Set(service.requests.map(({ redirect }) => redirect)), new Set(["error"]));
});

// 4. A sign-in during a refresh

test("a sign-in waits for the refresh of another tab", async () => {
  setGlobal("navigator", { locks: fakeLocks() });
  const storage = shared();
  const [one, other] = [await settled(signedIn({ storage })), clientOf({ storage })];
  let answerRefresh;
  service.troubles = [() => new Promise((resolve) => (answerRefresh = resolve))];
  const refreshing = one.refresh();
  for (let turn = 0; !answerRefresh; turn += 1) await settled(Promise.resolve());
  const signIn = other.signIn({ username: "bob", password: "right" });
  await new Promise(setImmediate);
  assert.equal(service.requests.at(-1).path, "/api/auth/refreshtoken");

  answerRefresh(json({ ...service.pair(), accessToken: "a1", refreshToken: "r1" }));
  await settled(Promise.all([refreshing, signIn]));

  assert.equal((await one.session()).user.username, "bob");
});

test("a password confirmation of one user does not change another user's session", async () => {
  const storage = shared();
  const other = clientOf({ storage });
  const client = await signedIn({
    storage,
    fetch: async (request) => {
      if (!request.url.endsWith("/reauthenticate")) return service.fetch(request);
      await other.signIn({ username: "bob", password: "right" });
      return json({ accessToken: "alice's", expiresIn: LIFETIME });
    },
  });

  await assert.rejects(client.reauthenticate("right"), refused("signed_out", 0));

  assert.equal((await client.session()).accessToken, "a0");
});

/** Start a refresh of a client; return it and a function that answers it. */
async function startRefresh(client) {
  let answer;
  service.troubles = [() => new Promise((resolve) => (answer = resolve))];
  const refreshing = client.refresh();
  refreshing.catch(() => {});
  while (!answer) await new Promise(setImmediate);
  return { refreshing, answer };
}

test("a late response does not replace the newer tokens of another tab", async () => {
  const storage = shared();
  const [one, other] = [await signedIn({ storage }), clientOf({ storage })];
  const { refreshing, answer } = await startRefresh(one);
  await other.refresh();
  await other.refresh();

  answer(json({ ...service.pair(), accessToken: "a1", refreshToken: "r1" }));

  assert.equal((await refreshing).refreshToken, "r2");
  assert.equal((await other.session()).refreshToken, "r2");
});

test("a refresh after another user's sign-in does not get the result of the first user's", async () => {
  const storage = shared();
  const [one, other] = [await signedIn({ storage }), clientOf({ storage })];
  const { refreshing, answer } = await startRefresh(one);
  pass(1000);
  await other.signIn({ username: "bob", password: "right" });
  const second = one.refresh();

  answer(json({ ...service.pair(), accessToken: "a1", refreshToken: "r1" }));

  await assert.rejects(refreshing, refused("signed_out", 0));
  assert.equal((await second).user.username, "bob");
});

// 5. Storages that fail

test("a slow storage does not hide a sign-in that happens meanwhile", async () => {
  const storage = shared();
  const client = clientOf({ storage });
  await client.session();
  let release;
  const { getItem } = storage;
  storage.getItem = () => {
    storage.getItem = getItem;
    return new Promise((resolve) => (release = () => resolve(null)));
  };
  const read = client.session();
  await new Promise(setImmediate);
  await client.signIn(ALICE);

  release();

  assert.equal((await read).user.username, "alice");
  assert.deepEqual(client.heard, [["signedin", undefined]]);
});

for (const [name, broken] of [
  ["full", { setItem: throwing }],
  ["blocked", { getItem: throwing, setItem: throwing, removeItem: throwing }],
  ["read-only", { setItem: throwing, removeItem: throwing }],
  ["unreadable", { getItem: throwing }],
]) {
  test(`a session survives a storage that is ${name}, and becomes so while it is used`, async () => {
    const storage = shared();
    const client = await signedIn({ storage });
    Object.assign(storage, broken);
    const fresh = clientOf({ storage: { ...shared(), ...broken } });
    await fresh.signIn(ALICE);
    await client.refresh();

    assert.equal((await client.fetch("/api/orders")).status, 200);
    assert.equal((await client.session()).refreshToken, "r1");
    assert.equal((await fresh.session()).refreshToken, "r0");
    await client.signOut();
    assert.equal(await client.session(), null);
  });
}

test("a rotated token that cannot be stored leaves no old token for other tabs", async () => {
  const storage = shared();
  const client = await signedIn({ storage });
  storage.setItem = throwing;

  await client.refresh();

  assert.equal(await clientOf({ storage }).session(), null);
});

const user = { id: 1, username: "a", roles: [] };
for (const content of [
  "{broken", "{}", "null", "[]", '"text"', '{"user": null}',
  JSON.stringify({ user: {}, renewedAt: 1, expiresIn: 900 }),
  JSON.stringify({ user, renewedAt: 1, expiresIn: 900, accessToken: "a\nb", refreshToken: "b" }),
  JSON.stringify({ user, renewedAt: 1, expiresIn: 900, accessToken: "a", refreshToken: 5 }),
]) {
  test(`${content} in the storage is no session, and does not end the one in memory`, async () => {
    const storage = shared();
    const client = await signedIn({ storage });
    storage.setItem("auth-client:https://auth.example.com/", content);

    assert.equal(await clientOf({ storage }).session(), null);
    assert.equal((await client.fetch("/api/orders")).status, 200);

    await client.refresh();
    assert.equal((await clientOf({ storage }).session()).refreshToken, "r1");
  });
}

test("a frame without storage, locks and cookies is signed in in memory", async () => {
  setGlobal("navigator", { locks: { request: async () => throwing() } });
  setGlobal("document", Object.defineProperty({ baseURI: "https://auth.example.com/" }, "cookie", { get: throwing }));
  globalThis.localStorage ?? setGlobal("localStorage", undefined);

  const client = clientOf({ storage: throwing });
  await settled(client.signIn(ALICE));

  assert.equal((await client.fetch("/api/orders")).status, 200);
});

test("another tab's event with broken content dispatches nothing", async () => {
  const listeners = [];
  setGlobal("addEventListener", (type, listener) => listeners.push(listener));
  const storage = shared();
  const client = await signedIn({ storage });

  const event = { key: "auth-client:https://auth.example.com/", oldValue: "{broken", newValue: "{}", storageArea: storage };
  listeners.forEach((listener) => listener(event));
  await new Promise(setImmediate);

  assert.deepEqual(client.heard, [["signedin", undefined]]);
});

// 6. Signals

const hanging = () => new Promise(() => {});

for (const [name, call] of [
  ["fetch", (client, signal) => client.fetch("/api/orders", { signal })],
  ["call", (client, signal) => client.call("GET", "auth/sessions", undefined, { signal })],
  ["refresh", (client, signal) => client.refresh(null, { signal })],
  ["fresh", (client, signal) => client.fresh({ signal })],
  ["signIn", (client, signal) => client.signIn(ALICE, { signal })],
  ["signUp", (client, signal) => client.signUp({}, { signal })],
  ["signOut", (client, signal) => client.signOut({ signal })],
  ["signOutEverywhere", (client, signal) => client.signOutEverywhere({ signal })],
  ["reauthenticate", (client, signal) => client.reauthenticate("right", { signal })],
]) {
  test(`${name} is rejected immediately with the reason of its signal`, async () => {
    let isHanging = false;
    const client = await signedIn({ fetch: (request) => (isHanging ? hanging() : service.fetch(request)) });
    isHanging = true;
    pass(LIFETIME * 1000);

    const abort = new AbortController();
    const aborted = call(client, abort.signal);
    const timeout = AbortSignal.timeout(5);
    const timed = assert.rejects(call(client, timeout), { name: "TimeoutError" });
    await new Promise(setImmediate);
    abort.abort();

    await assert.rejects(aborted, { name: "AbortError" });
    while (!timeout.aborted) await new Promise(setImmediate);
    await timed;
    await assert.rejects(call(client, AbortSignal.abort()), { name: "AbortError" });
  });
}

test("a shared refresh continues for the others when one request is aborted", async () => {
  const client = await signedIn();
  let answerRefresh;
  service.troubles = [() => new Promise((resolve) => (answerRefresh = resolve))];
  pass(LIFETIME * 1000);
  const abort = new AbortController();
  const [aborted, other] = [client.fetch("/api/orders", { signal: abort.signal }), client.fetch("/api/orders")];
  while (!answerRefresh) await new Promise(setImmediate);

  abort.abort();
  await assert.rejects(aborted, { name: "AbortError" });
  service.generation = 1;
  answerRefresh(json(service.pair()));

  assert.equal((await other).status, 200);
  assert.equal(service.refreshes, 1);
});

// 7. Tabs that wait for each other

test("four tabs without a network share one failure", async () => {
  setGlobal("navigator", { locks: fakeLocks() });
  const storage = shared();
  const tabs = [await settled(signedIn({ storage })), ...Array.from({ length: 3 }, () => clientOf({ storage }))];
  pass(LIFETIME * 1000);
  service.troubles = Array(20).fill(lost);
  const start = Date.now();

  const results = await settled(Promise.allSettled(tabs.map((tab) => tab.fetch("/api/orders"))));

  assert.deepEqual(new Set(results.map(({ reason }) => reason.code)), new Set(["network_error"]));
  assert.ok(results.every(({ reason }) => reason instanceof AuthError));
  assert.ok(Date.now() - start < 5500, `${Date.now() - start} ms`);
  assert.equal(service.refreshes, 4);
});

test("a tab that is suspended during a refresh delays others by seconds, within the grace period", async () => {
  const locks = fakeLocks();
  setGlobal("navigator", { locks });
  const client = await settled(signedIn({ storage: shared() }));
  locks.request("auth-client:https://auth.example.com/", {}, hanging).catch(() => {}); // the lock is stolen
  const start = Date.now();

  await settled(client.refresh());
  await settled(client.refresh());

  assert.ok(Date.now() - start < 8000, `${Date.now() - start} ms`);
});

// 8. Errors, Retry-After, tabs that are closed

for (const [name, answer] of [
  ["null", () => json(null, 400)],
  ["a code that is a number", () => json({ code: 7, message: { text: "no" }, errors: "none" }, 400)],
  ["HTML", () => html(400)],
  ["no body", () => new Response(null, { status: 400 })],
  ["a broken body", () => new Response("{", { status: 400, headers: { "Content-Type": "application/json" } })],
]) {
  test(`an error with ${name} is an AuthError with texts`, async () => {
    const client = clientOf({ fetch: async () => answer() });

    for (const call of [client.signIn(ALICE), client.signUp({}), client.call("GET", "auth/me")])
      await assert.rejects(call, (error) => refused("unexpected_answer", 400)(error) && error.message === "Status 400");
    await assert.rejects(client.signUp({}), ({ errors }) => Object.keys(errors).length === 0);
  });
}

test("an error has the other fields of the response as details", async () => {
  const client = clientOf({ fetch: async () => json({ message: "no", code: "some_challenge", hint: "one" }, 403) });

  await assert.rejects(client.signIn(ALICE), ({ details }) => details.hint === "one");
});

test("Retry-After holds in other tabs", async () => {
  const storage = shared();
  const [one, other] = [await signedIn({ storage }), clientOf({ storage })];
  service.troubles = [() => refusal(429, "throttled", { "Retry-After": "600" })];
  await assert.rejects(one.refresh(), refused("throttled", 429));

  await assert.rejects(other.refresh(), refused("throttled", 429));
  assert.equal(service.refreshes, 1);

  pass(600_000);
  await other.refresh();
  assert.equal(service.refreshes, 2);
});

for (const hours of [-24, 24]) {
  test(`Retry-After holds although the clock is set by ${hours} hours`, async () => {
    const client = await signedIn();
    service.troubles = [() => refusal(429, "throttled", { "Retry-After": "600" })];
    await assert.rejects(client.refresh(), refused("throttled", 429));

    mock.timers.setTime(Date.now() + hours * 3_600_000);
    await assert.rejects(client.refresh(), refused("throttled", 429));
    assert.equal(service.refreshes, 1);

    pass(600_000);
    await client.refresh();
  });
}

test("tabs wait for a short Retry-After together", async () => {
  setGlobal("navigator", { locks: fakeLocks() });
  const storage = shared();
  const tabs = [await settled(signedIn({ storage })), clientOf({ storage }), clientOf({ storage })];
  pass(LIFETIME * 1000);
  service.troubles = [() => refusal(503, "unavailable", { "Retry-After": "5" })];

  const answers = await settled(Promise.all(tabs.map((tab) => tab.fetch("/api/orders"))));

  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200]);
  assert.equal(service.refreshes, 2);
});

test("a refresh that was interrupted is repeated with the same token when a page is opened", async () => {
  const storage = shared();
  const closed = await signedIn({ storage, fetch: (request) => (request.url.endsWith("token") ? hanging() : service.fetch(request)) });
  closed.refresh().catch(() => {});
  await new Promise(setImmediate);

  const opened = clientOf({ storage });
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);

  assert.equal((await opened.session()).refreshToken, "r1");
  assert.equal(service.requests.find(({ path }) => path.endsWith("refreshtoken")).body.refreshToken, "r0");
});

test("with cookies, a refresh is kept alive only if the page is closed meanwhile", async () => {
  const listeners = new Set();
  setGlobal("addEventListener", (type, listener) => type === "pagehide" && listeners.add(listener));
  setGlobal("removeEventListener", (type, listener) => listeners.delete(listener));
  const sent = [];
  const fetch = (request) => {
    if (!request.url.endsWith("token")) return service.fetch(request);
    sent.push(request.keepalive);
    return hanging();
  };
  const client = await signedIn({ transport: "cookie", storage: shared(), fetch });
  const refreshing = client.refresh();
  await new Promise(setImmediate);

  for (const listener of listeners) listener();
  assert.deepEqual(sent, [false, true]);

  await assert.rejects(settled(refreshing), refused("network_error", 0));
  assert.equal(listeners.size, 0);
});

test("a refresh that has failed is not repeated when a page is opened", async () => {
  const storage = shared();
  const client = await signedIn({ storage });
  service.troubles = [() => refusal(500, "internal_error"), ...Array(3).fill(() => refusal(500, "internal_error"))];
  await assert.rejects(settled(client.refresh()), refused("internal_error", 500));

  clientOf({ storage });
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);

  assert.equal(service.refreshes, 4);
});

// 9. The user

test("a response about another user does not change the user of the session", async () => {
  const client = await signedIn();
  service.user = { ...service.user, id: 99, username: "mallory" };

  assert.equal((await client.refresh()).user.username, "alice");
});

test("a granted role shows after the next refresh", async () => {
  const client = await signedIn();
  service.user.roles = ["ROLE_USER", "ROLE_ADMIN"];
  const users = [];
  client.addEventListener("refreshed", ({ detail }) => users.push(detail.user));

  const session = await client.refresh();

  assert.deepEqual(session.user.roles, ["ROLE_USER", "ROLE_ADMIN"]);
  assert.deepEqual(users, [session.user]);
  assert.deepEqual((await client.session()).user, session.user);
});

test("a refresh succeeds although the user cannot be fetched", async () => {
  const client = await signedIn({
    fetch: (request) => (request.url.endsWith("/me") ? Promise.resolve(html(502)) : service.fetch(request)),
  });

  assert.equal((await client.refresh()).refreshToken, "r1");
});
