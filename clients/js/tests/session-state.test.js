// The state that the React hooks and the Vue composable are made of, with a fake client.
import assert from "node:assert/strict";
import { test } from "node:test";

import { sessionState } from "../src/session-state.js";

const ALICE = { id: 1, username: "alice", roles: ["ROLE_USER"] };

class FakeClient extends EventTarget {
  session = async () => null;
  send(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

test("the state is loading until the stored session is read", async () => {
  const client = new FakeClient();
  client.session = async () => ({ user: ALICE });
  const { get } = sessionState(client);
  assert.deepEqual(get(), { status: "loading", user: null, reason: null });

  await new Promise(setImmediate);

  assert.deepEqual(get(), { status: "signedIn", user: ALICE, reason: null });
});

test("an event that comes before the stored session is read takes precedence", async () => {
  const client = new FakeClient();
  client.session = async () => ({ user: ALICE });
  const { get } = sessionState(client);
  client.send("signedout", { reason: "signed_out", user: ALICE });

  await new Promise(setImmediate);

  assert.deepEqual(get(), { status: "signedOut", user: null, reason: "signed_out" });
});

test("listeners are called for a change of the user, and not for a refresh that changes nothing", async () => {
  const client = new FakeClient();
  const { get, subscribe } = sessionState(client);
  await new Promise(setImmediate);
  const seen = [];
  const unsubscribe = subscribe(() => seen.push(get().user?.roles.length ?? get().reason));

  client.send("signedin", { user: ALICE });
  client.send("refreshed", { user: { ...ALICE } });
  client.send("refreshed", { user: { ...ALICE, roles: ["ROLE_USER", "ROLE_ADMIN"] } });
  client.send("signedout", { reason: "other_tab" });
  unsubscribe();
  client.send("signedin", { user: ALICE });

  assert.deepEqual(seen, [1, 2, "other_tab"]);
});

test("all components of a client share one state", () => {
  const client = new FakeClient();

  assert.equal(sessionState(client), sessionState(client));
  assert.notEqual(sessionState(new FakeClient()), sessionState(client));
});
