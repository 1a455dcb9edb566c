// The recipes with their libraries, against the service at SERVICE, which tests/clients/test_recipes.py starts.
import "@angular/compiler";

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";

import { HttpClient, provideHttpClient, withFetch, withInterceptors } from "@angular/common/http";
import {
  createEnvironmentInjector,
  Injector,
  provideZonelessChangeDetection,
  ɵINJECTOR_SCOPE,
} from "@angular/core";
import { AuthClient } from "@authproject/client";
import { AuthClient as ClientWithFactors } from "@authproject/client/factors";
import { AuthProvider, useAuth } from "@authproject/client/react";
import { authKey, useAuth as useVueAuth } from "@authproject/client/vue";
import axios from "axios";
import { Window } from "happy-dom";
import { act, createElement } from "react";
import { createRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { firstValueFrom } from "rxjs";
import { createSSRApp, effectScope, h } from "vue";
import { renderToString as renderVue } from "vue/server-renderer";

import { authInterceptor } from "./angular.js";
import { authenticate } from "./axios.js";
import { mobileAuth } from "./mobile.js";
import { RENEW, site } from "./ssr.js";

const url = process.env.SERVICE;
const PASSWORD = "correct horse battery";
let people = 0;

async function register() {
  const username = `person${(people += 1)}`;
  await new AuthClient({ url }).signUp({ username, email: `${username}@example.com`, password: PASSWORD });
  return username;
}

/** Somebody who has just signed in; `refreshes` counts. */
async function signedIn(username) {
  const counted = { refreshes: 0 };
  const auth = new AuthClient({
    url,
    fetch: (request) => {
      if (request.url.endsWith("/refreshtoken")) counted.refreshes += 1;
      return fetch(request);
    },
  });
  await auth.signIn({ username: username ?? (await register()), password: PASSWORD });
  return Object.assign(auth, { counted });
}

/** Give a user an authenticator app, and return the recovery codes. */
async function addAuthenticator(username) {
  const auth = new ClientWithFactors({ url });
  await auth.signIn({ username, password: PASSWORD });
  const { id, secret } = await auth.factors.addAuthenticator("Phone");
  return (await auth.factors.confirmAuthenticator(id, totp(secret))).recoveryCodes;
}

/** The code of an authenticator app for a base32 secret (RFC 6238). */
function totp(secret) {
  const bits = [...secret].map((one) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(one).toString(2).padStart(5, "0"));
  const key = Buffer.from(bits.join("").match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const digest = createHmac("sha1", key).update(step).digest();
  return String((digest.readUInt32BE(digest.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** Make all access tokens of a user stale: a new password does. This session lives on. */
function makeStale(headers) {
  const body = JSON.stringify({ currentPassword: PASSWORD, newPassword: PASSWORD + "!" });
  return fetch(`${url}/api/auth/password/change`, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body,
  });
}
const bearer = (accessToken) => ({ Authorization: `Bearer ${accessToken}` });

async function stale(auth) {
  assert.equal((await makeStale(bearer((await auth.session()).accessToken))).status, 204);
}

const ten = (task) => Promise.all(Array.from({ length: 10 }, task));

test("axios: ten requests with a stale token cause one refresh", async () => {
  const auth = await signedIn();
  const http = authenticate(axios.create({ baseURL: `${url}/api` }), auth);
  assert.equal((await http.get("/test/user")).data, "User Content.");
  await stale(auth);

  const answers = await ten(() => http.get("/test/user"));

  assert.deepEqual(new Set(answers.map(({ data }) => data)), new Set(["User Content."]));
  assert.equal(auth.counted.refreshes, 1);
  await assert.rejects(
    http.get("/test/mod"),
    ({ response }) => response.status === 403 && response.data.code === "role_required",
  );
});

test("axios: the end of the session rejects the request and dispatches signedout", async () => {
  const auth = await signedIn();
  const http = authenticate(axios.create({ baseURL: `${url}/api` }), auth);
  const signedOut = once(auth, "signedout");
  await http.post("/auth/signout-all");

  await assert.rejects(http.get("/test/user"), { code: "refresh_token_revoked" });

  assert.equal((await signedOut)[0].detail.reason, "refresh_token_revoked");
  await assert.rejects(http.get("/test/user"), ({ response }) => response.data.code === "token_missing");
});

test("Angular: ten requests with a stale token cause one refresh, and other origins get no token", async () => {
  const auth = await signedIn();
  const features = [withFetch(), withInterceptors([authInterceptor(auth, `${url}/`)])];
  // Injects without a page what Angular provides 'in root'.
  const providers = [
    { provide: ɵINJECTOR_SCOPE, useValue: "root" },
    provideZonelessChangeDetection(),
    provideHttpClient(...features),
  ];
  const injector = createEnvironmentInjector(providers, Injector.NULL);
  const http = injector.get(HttpClient);
  const get = (path) => firstValueFrom(http.get(`${url}/api/${path}`, { responseType: "text" }));
  await stale(auth);

  assert.deepEqual(new Set(await ten(() => get("test/user"))), new Set(["User Content."]));
  assert.equal(auth.counted.refreshes, 1);
  await assert.rejects(get("test/mod"), ({ status }) => status === 403);

  let seen;
  const other = createServer((request, response) => {
    seen = request.headers;
    response.end("[]");
  }).listen(0, "127.0.0.1");
  await once(other, "listening");
  await firstValueFrom(http.get(`http://127.0.0.1:${other.address().port}/`));
  other.close();
  assert.equal(seen.authorization, undefined);
});

test("Vue: the user follows the session", async () => {
  const auth = await signedIn();
  const scope = effectScope();
  const { status, user, reason } = scope.run(() => useVueAuth(auth));
  assert.equal(status.value, "loading");
  await new Promise(setImmediate);
  assert.match(user.value.username, /^person/);

  await auth.signOut();

  assert.deepEqual([status.value, user.value, reason.value], ["signedOut", null, "signed_out"]);
  scope.stop();
  await auth.signIn({ username: await register(), password: PASSWORD });
  assert.equal(user.value, null);
});

test("Vue: a component uses the client that the app provides", async () => {
  const auth = await signedIn();
  useVueAuth(auth);
  await new Promise(setImmediate);
  const Greeting = {
    setup() {
      const { user } = useVueAuth();
      return () => h("p", user.value.username);
    },
  };

  assert.match(await renderVue(createSSRApp(Greeting).provide(authKey, auth)), /<p>person/);
  assert.throws(() => useVueAuth(), /app\.provide/);
});

const Greeting = () => {
  const { status, user, reason } = useAuth();
  return user?.username ?? `${status}: ${reason}`;
};

test("React: components follow the session", async (context) => {
  const window = new Window();
  Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true });
  context.after(() => ["window", "document", "IS_REACT_ACT_ENVIRONMENT"].forEach((name) => delete globalThis[name]));
  const auth = await signedIn();
  const page = window.document.createElement("main");
  const root = createRoot(page);

  await act(async () => root.render(createElement(AuthProvider, { client: auth }, createElement(Greeting))));
  assert.match(page.textContent, /^person/);

  await act(() => auth.signOut());
  assert.equal(page.textContent, "signedOut: signed_out");
  await act(() => root.unmount());
});

test("React: on a server the session is loading, and a component needs a client", async () => {
  const provided = createElement(AuthProvider, { client: await signedIn() }, createElement(Greeting));

  assert.equal(renderToString(provided), "loading: null");
  assert.throws(() => renderToString(createElement(Greeting)), /AuthProvider/);
});

/** The secure store of a phone. */
function phone() {
  const items = new Map();
  return {
    items,
    getItemAsync: async (key) => items.get(key) ?? null,
    setItemAsync: async (key, text) => void items.set(key, text),
    deleteItemAsync: async (key) => void items.delete(key),
  };
}
const kept = (store) => JSON.parse([...store.items.values()][0]);

test("mobile: ten requests cause one refresh, even if its first response is lost", async () => {
  const store = phone();
  const presented = [];
  const flaky = async (address, init) => {
    const answer = await fetch(address, init);
    if (!address.endsWith("/refreshtoken")) return answer;
    presented.push(JSON.parse(init.body).refreshToken);
    if (presented.length === 1) throw new TypeError("Network request failed");
    return answer;
  };
  const auth = mobileAuth({ url, store, fetch: flaky });
  await auth.signIn(await register(), PASSWORD);
  await makeStale(bearer(kept(store).accessToken));

  const answers = await ten(() => auth.fetch("/api/test/user"));

  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(presented.length, 2);
  assert.equal(presented[0], presented[1]);
});

test("mobile: a revoked session ends, and a network failure ends no session", async () => {
  const store = phone();
  const codes = [];
  const auth = mobileAuth({ url, store, onSignedOut: (code) => codes.push(code) });
  await auth.signIn(await register(), PASSWORD);
  const dead = mobileAuth({
    url,
    store,
    fetch: async () => Promise.reject(new TypeError("Network request failed")),
  });
  await assert.rejects(dead.fetch("/api/test/user"));
  assert.equal((await auth.fetch("/api/test/user")).status, 200);
  await makeStale(bearer(kept(store).accessToken));
  const pages = [new Response("<h1>Hotel</h1>"), new Response("{}"), new Response("<h1>Blocked</h1>", { status: 403 })];
  const captive = mobileAuth({
    url,
    store,
    fetch: async (address, init) => (address.endsWith("/refreshtoken") && pages.shift()) || fetch(address, init),
  });
  assert.equal((await captive.fetch("/api/test/user")).status, 200);
  await auth.fetch("/api/auth/signout-all", { method: "POST" });

  assert.equal((await auth.fetch("/api/test/user")).status, 401);

  assert.deepEqual(codes, ["refresh_token_revoked"]);
  assert.equal(store.items.size, 0);
});

test("mobile: a second factor completes a sign-in, and a wrong code stores nothing", async () => {
  const store = phone();
  const auth = mobileAuth({ url, store });
  const username = await register();
  const recoveryCodes = await addAuthenticator(username);

  const { code, authSession } = await (await auth.signIn(username, PASSWORD)).json();
  assert.equal(code, "second_factor_required");
  assert.equal((await auth.completeSignIn(authSession, { code: "000000" })).status, 403);
  assert.equal(store.items.size, 0);
  assert.equal((await auth.completeSignIn(authSession, { recoveryCode: recoveryCodes[0] })).status, 200);

  assert.equal((await auth.fetch("/api/test/user")).status, 200);
});

/** A browser in front of the rendered site: it keeps cookies, with their paths, and follows no redirect. */
class Browser {
  cookies = new Map();

  take(answer) {
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (value && value !== '""') this.cookies.set(name, { value, path: line.match(/path=([^;]+)/i)[1] });
      else this.cookies.delete(name);
    }
    return answer;
  }

  async open(address, init = {}) {
    const { pathname } = new URL(address);
    const sent = [...this.cookies].filter(([, { path }]) => pathname.startsWith(path));
    const cookie = sent.map(([name, { value }]) => `${name}=${value}`).join("; ");
    return this.take(await fetch(address, { redirect: "manual", ...init, headers: { ...init.headers, cookie } }));
  }
}

test("server rendering: a stale token is renewed by redirect, and signed-out users are redirected to sign in", async (context) => {
  const render = ({ username }, path) => `<p>${username} at ${path}</p>`;
  const server = createServer(site({ service: url, render })).listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  const here = `http://127.0.0.1:${server.address().port}`;
  const browser = new Browser();
  const nobody = await browser.open(`${here}/orders?page=2`);
  assert.deepEqual([nobody.status, nobody.headers.get("Location")], [303, "/sign-in?next=%2Forders%3Fpage%3D2"]);

  const username = await register();
  const body = JSON.stringify({ username, password: PASSWORD, useCookies: true });
  await browser.open(`${url}/api/auth/signin`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body,
  });
  assert.equal(await (await browser.open(`${here}/orders`)).text(), `<p>${username} at /orders</p>`);

  const access = [...browser.cookies].find(([name]) => name.endsWith("access"))[1].value;
  assert.equal((await makeStale(bearer(access))).status, 204);
  const bounced = await browser.open(`${here}/orders?page=2`);
  assert.equal(bounced.headers.get("Location"), `${RENEW}?next=%2Forders%3Fpage%3D2`);
  const back = await browser.open(here + bounced.headers.get("Location"));
  assert.deepEqual([back.status, back.headers.get("Location")], [303, "/orders?page=2"]);
  assert.equal((await browser.open(`${here}/orders`)).status, 200);

  for (const evil of ["//evil.example", "/\\evil.example", "https://evil.example"]) {
    const answer = await browser.open(`${here}${RENEW}?next=${encodeURIComponent(evil)}`);
    assert.equal(answer.headers.get("Location"), "/");
  }
  browser.cookies.delete("__Secure-refresh");
  const over = await browser.open(`${here}${RENEW}?next=/orders`);
  assert.equal(over.headers.get("Location"), "/sign-in?next=%2Forders");
});

test("server rendering: without the service, pages respond with 503 and the server continues", async (context) => {
  context.mock.method(console, "error", () => {});
  const server = createServer(site({ service: "http://127.0.0.1:1", render: String })).listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");

  for (const path of ["/orders", RENEW]) {
    const answer = await fetch(`http://127.0.0.1:${server.address().port}${path}`);
    assert.deepEqual([answer.status, answer.headers.get("Retry-After")], [503, "5"]);
  }
});
