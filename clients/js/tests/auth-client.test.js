// The client against a fake service, with a fake clock.
import assert from "node:assert/strict";
import { test } from "node:test";

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
  shared,
  signedIn,
  settled,
  URL_OF_SERVICE,
} from "./fakes.js";

test("a sign-in is stored, dispatches an event, and adds its token to requests", async () => {
  const client = await signedIn();

  const answer = await client.fetch("/api/orders");

  assert.equal(answer.status, 200);
  assert.equal((await client.session()).user.username, "alice");
  assert.deepEqual(client.heard, [["signedin", undefined]]);
  assert.equal(service.requests[0].credentials, "omit");
});

test("a wrong password rejects with code and status, and starts no session", async () => {
  const client = clientOf();

  await assert.rejects(
    client.signIn({ username: "alice", password: "wrong" }),
    refused("invalid_credentials", 401),
  );

  assert.equal(await client.session(), null);
});

test("an error has validation errors by field, and Retry-After", async () => {
  const answer = { message: "no", code: "invalid_request", errors: { email: ["This is none."] } };
  const client = clientOf({ fetch: async () => json(answer, 400, { "Retry-After": "7" }) });

  await assert.rejects(
    client.signUp({}),
    (error) => error.errors.email[0] === "This is none." && error.retryAfter === 7,
  );
});

test("a token that is about to expire is renewed before it is used", async () => {
  const client = await signedIn();
  pass((LIFETIME - 31) * 1000);
  await client.fetch("/api/orders");
  assert.equal(service.refreshes, 0);

  pass(2000);
  const answer = await client.fetch("/api/orders");

  assert.deepEqual([answer.status, service.refreshes], [200, 1]);
});

test("after a 401 the token is renewed and the request is repeated with its body", async () => {
  const client = await signedIn();
  service.generation = 1;
  service.troubles = [() => json(service.pair())];

  const answer = await client.fetch("/api/orders", { method: "POST", body: '{"order":1}' });

  assert.deepEqual(await answer.json(), { got: { order: 1 } });
  assert.deepEqual(client.heard.at(-1), ["refreshed", undefined]);
});

test("a second 401 is returned to the caller", async () => {
  const client = await signedIn({
    fetch: (request) => (request.url.endsWith("orders") ? refusal(401, "token_stale") : service.fetch(request)),
  });

  const answer = await client.fetch("/api/orders");

  assert.deepEqual([answer.status, service.refreshes], [401, 1]);
});

test("simultaneous requests wait for one refresh", async () => {
  const client = await signedIn();
  pass(LIFETIME * 1000);

  const answers = await Promise.all(Array.from({ length: 20 }, () => client.fetch("/api/orders")));

  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(service.refreshes, 1);
});

test("a late 401 causes no second refresh", async () => {
  const client = await signedIn();
  let answerLate;
  const late = new Promise((resolve) => (answerLate = resolve));
  const slow = clientOf({
    storage: { getItem: async () => JSON.stringify(await client.session()), setItem() {}, removeItem() {} },
    fetch: (request) => (request.headers.get("Authorization") === "Bearer a0" ? late : service.fetch(request)),
  });
  const waiting = slow.fetch("/api/orders");
  await client.refresh();

  answerLate(refusal(401, "token_stale"));

  assert.equal((await waiting).status, 200);
  assert.equal(service.refreshes, 1);
});

test("clients that share a storage refresh once, with Web Locks", async () => {
  setGlobal("navigator", { locks: fakeLocks() });
  const storage = shared();
  const tabs = [await settled(signedIn({ storage })), clientOf({ storage }), clientOf({ storage })];
  pass(LIFETIME * 1000);

  await settled(Promise.all(tabs.flatMap((tab) => [tab.fetch("/api/orders"), tab.fetch("/api/orders")])));

  assert.equal(service.refreshes, 1);
});

test("clients that share a storage get the same response without Web Locks", async () => {
  const storage = shared();
  const tabs = [await signedIn({ storage }), clientOf({ storage })];
  pass(LIFETIME * 1000);
  const grace = () => json({ ...service.pair(), accessToken: "a1", refreshToken: "r1" });
  service.generation = 1;
  service.troubles = [grace, grace];

  const answers = await Promise.all(tabs.map((tab) => tab.fetch("/api/orders")));

  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200],
  );
  assert.equal(service.refreshes, 2);
});

test("a refresh without a response is retried with the same token", async () => {
  const client = await signedIn();
  const presented = [];
  const answerThatIsLost = (_, token) => {
    presented.push(token);
    service.generation = 1;
    lost();
  };
  const grace = (_, token) => {
    presented.push(token);
    return json(service.pair());
  };
  service.troubles = [answerThatIsLost, grace];

  await settled(client.refresh());

  assert.deepEqual(presented, ["r0", "r0"]);
  assert.equal((await client.session()).refreshToken, "r1");
});

test("a refresh with an incomplete response is retried", async () => {
  const client = await signedIn();
  service.troubles = [
    () => new Response('{"accessToken": "a', { headers: { "Content-Type": "application/json" } }),
  ];

  await settled(client.refresh());

  assert.equal((await client.session()).accessToken, "a1");
});

test("without a network the session remains and the next request retries", async () => {
  const client = await signedIn();
  pass(LIFETIME * 1000);
  service.troubles = [lost, lost, lost, lost];

  await assert.rejects(settled(client.fetch("/api/orders")), refused("network_error", 0));
  assert.deepEqual(client.heard.at(-1), ["refreshfailed", "network_error"]);

  assert.equal((await client.fetch("/api/orders")).status, 200);
});

test("a token that is still valid is used if it cannot be renewed", async () => {
  const client = await signedIn();
  pass((LIFETIME - 20) * 1000);
  service.troubles = [lost, lost, lost, lost];

  assert.equal((await settled(client.fetch("/api/orders"))).status, 200);
});

test("a refresh waits for Retry-After", async () => {
  const client = await signedIn();
  service.troubles = [() => refusal(503, "unavailable", { "Retry-After": "5" })];
  const start = Date.now();

  await settled(client.refresh());

  assert.ok(Date.now() - start >= 5000);
  assert.equal(service.refreshes, 2);
});

test("a long Retry-After fails immediately and blocks requests until it has passed", async () => {
  const client = await signedIn();
  service.troubles = [() => refusal(429, "throttled", { "Retry-After": "600" })];
  const isThrottled = (error) => refused("throttled", 429)(error) && error.retryAfter === 600;
  await assert.rejects(client.refresh(), isThrottled);

  await assert.rejects(client.refresh(), isThrottled);
  assert.equal(service.refreshes, 1);

  pass(600_000);
  await client.refresh();
  assert.equal(service.refreshes, 2);
});

test("Retry-After may be a date", async () => {
  const at = new Date(Date.now() + 60_000).toUTCString();
  const client = clientOf({ fetch: async () => refusal(429, "throttled", { "Retry-After": at }) });

  await assert.rejects(client.signUp({}), ({ retryAfter }) => retryAfter === 60);
});

test("a refused refresh ends the session with its error code as the reason", async () => {
  const client = await signedIn();
  service.troubles = [() => refusal(403, "refresh_token_revoked")];

  await assert.rejects(client.refresh(), refused("refresh_token_revoked", 403));

  assert.equal(await client.session(), null);
  assert.deepEqual(client.heard.at(-1), ["signedout", "refresh_token_revoked"]);
});

test("a 403 that is not about the refresh token ends no session", async () => {
  const client = await signedIn();
  service.troubles = [() => new Response("<h1>Forbidden</h1>", { status: 403 })];

  await assert.rejects(client.refresh(), refused("unexpected_answer", 403));

  assert.equal((await client.session()).refreshToken, "r0");
});

test("a sign-out deletes the tokens before it calls the service", async () => {
  const client = await signedIn();

  await client.signOut();

  assert.equal(await client.session(), null);
  assert.equal(service.requests.at(-1).path, "/api/auth/signout");
  assert.deepEqual(client.heard.at(-1), ["signedout", "signed_out"]);
});

test("a sign-out during a refresh takes precedence", async () => {
  const client = await signedIn();
  const refreshing = client.refresh();
  await client.signOut();

  await assert.rejects(refreshing, refused("signed_out", 0));

  assert.equal(await client.session(), null);
});

test("a sign-out everywhere ends the local session", async () => {
  const client = await signedIn();

  await client.signOutEverywhere();

  assert.equal(service.requests.at(-1).headers.get("Authorization"), "Bearer a0");
  assert.deepEqual(client.heard.at(-1), ["signedout", "signed_out_everywhere"]);
});

test("a request of one user is not repeated with another user's token", async () => {
  const storage = shared();
  const client = await signedIn({ storage });
  const other = clientOf({ storage });
  const fetch = async (request) => {
    await other.signIn({ username: "bob", password: "right" });
    return refusal(401, "token_revoked");
  };
  const surprised = clientOf({ storage, fetch });

  await assert.rejects(surprised.fetch("/api/orders", { method: "POST" }), refused("signed_out", 0));

  assert.equal((await client.session()).user.username, "bob");
});

test("other origins get no token unless they are configured", async () => {
  const client = await signedIn({ origins: ["https://orders.example.com"] });

  await client.fetch("https://evil.example.net/");
  await client.fetch("https://orders.example.com/");

  const [evil, orders] = service.requests.slice(-2).map(({ headers }) => headers.get("Authorization"));
  assert.deepEqual([evil, orders], [null, "Bearer a0"]);
});

test("an aborted request fails as with fetch", async () => {
  const client = await signedIn({
    fetch: (request) => (request.signal.aborted ? Promise.reject(request.signal.reason) : service.fetch(request)),
  });

  await assert.rejects(client.fetch("/api/orders", { signal: AbortSignal.abort() }), { name: "AbortError" });
});

test("foreign content in the storage counts as signed out", async () => {
  const client = clientOf({ storage: { getItem: () => "{broken", setItem() {}, removeItem() {} } });

  assert.equal(await client.session(), null);
});

test("the service's own CSRF token comes before that of another site", async () => {
  const sent = [];
  const fetch = (request) => {
    sent.push(request.headers.get("X-CSRFToken"));
    return Promise.resolve(json({ id: 1, username: "alice", roles: [], expiresIn: LIFETIME }));
  };
  try {
    for (const cookie of [
      "csrftoken=foreign; __Host-csrftoken=own",
      "csrftoken=foreign; x-csrftoken=no; __Secure-csrftoken=own; csrftoken=old",
      "x__Host-csrftoken=no; csrftoken=own",
      "xcsrftoken=no",
    ]) {
      globalThis.document = { cookie, baseURI: URL_OF_SERVICE };
      await clientOf({ transport: "cookie", storage: shared(), fetch }).signIn({ username: "alice", password: "right" });
    }
    assert.deepEqual(sent, ["own", "own", "own", ""]);
  } finally {
    delete globalThis.document;
  }
});

test("with cookies no token is stored, and unsafe requests send the CSRF token", async () => {
  const storage = shared();
  globalThis.document = { cookie: "a=b; csrftoken=proof", baseURI: URL_OF_SERVICE };
  try {
    const client = clientOf({
      transport: "cookie",
      storage,
      fetch: (request) => {
        service.requests.push({ path: request.url, headers: request.headers, credentials: request.credentials });
        const tokens = { expiresIn: LIFETIME, refreshExpiresIn: 86400 };
        return Promise.resolve(json({ id: 1, username: "alice", email: "", fullname: "", roles: [], ...tokens }));
      },
    });
    await client.signIn({ username: "alice", password: "right" });
    await client.refresh();
    await client.fetch("/api/orders");

    assert.deepEqual(
      service.requests.map(({ credentials }) => credentials),
      ["include", "include", "include", "include"],
    );
    assert.deepEqual(
      service.requests.map(({ headers }) => headers.get("X-CSRFToken")),
      ["proof", "proof", null, null],
    );
    assert.equal((await client.session()).accessToken, undefined);
  } finally {
    delete globalThis.document;
  }
});
