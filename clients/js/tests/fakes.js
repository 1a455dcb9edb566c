// A fake service, storages, locks and time for the tests of the client.

import { afterEach, beforeEach, mock } from "node:test";

import { AuthClient, AuthError } from "../src/auth-client.js";

export const URL_OF_SERVICE = "https://auth.example.com";
export const LIFETIME = 900;

export const json = (body, status = 200, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });
export const refusal = (status, code, headers) => json({ message: `It is ${code}.`, code }, status, headers);

/** A fake service. `troubles` are the failures of the next refreshes. */
export class Service {
  generation = 0;
  requests = [];
  troubles = [];

  fetch = async (request) => {
    const { pathname } = new URL(request.url);
    const { method, headers, credentials, redirect } = request;
    const recorded = { method, path: pathname, headers, credentials, redirect };
    this.requests.push(recorded);
    await Promise.resolve();
    const body = method === "POST" ? JSON.parse((await request.text()) || "null") : null;
    recorded.body = body;
    if (pathname === "/api/auth/signin") return this.signIn(body);
    if (pathname === "/api/auth/refreshtoken") return this.refresh(body);
    if (pathname === "/api/auth/me") return this.me(request);
    if (pathname.startsWith("/api/auth/signout")) return new Response(null, { status: 204 });
    return this.content(request, body);
  };

  signIn({ username, password }) {
    if (password !== "right") return refusal(401, "invalid_credentials");
    this.user = { id: username.length, username, email: "", fullname: "", roles: ["ROLE_USER"] };
    return json({ ...this.user, ...this.pair() });
  }

  me(request) {
    if (request.headers.get("Authorization") !== `Bearer a${this.generation}`) return refusal(401, "token_stale");
    return json({ ...this.user, language: "en" });
  }

  refresh({ refreshToken }) {
    const trouble = this.troubles.shift();
    if (trouble) return trouble(this, refreshToken);
    if (refreshToken !== `r${this.generation}`) return refusal(403, "refresh_token_reused");
    this.generation += 1;
    return json(this.pair());
  }

  content(request, body) {
    if (request.headers.get("Authorization") !== `Bearer a${this.generation}`) return refusal(401, "token_stale");
    return json({ got: body });
  }

  pair() {
    const { generation } = this;
    return {
      accessToken: `a${generation}`,
      refreshToken: `r${generation}`,
      expiresIn: LIFETIME,
      refreshExpiresIn: 86400,
    };
  }

  get refreshes() {
    return this.requests.filter(({ path }) => path === "/api/auth/refreshtoken").length;
  }
}

export let service;
let clients;
let globals;
let elapsed;

/** Let time pass for timers, the clock, and `performance.now`, which cannot be set. */
export function pass(milliseconds) {
  elapsed += milliseconds;
  mock.timers.tick(milliseconds);
}

/** Set a global object of browsers until the end of the test. */
export function setGlobal(name, value) {
  globals.push([name, Object.getOwnPropertyDescriptor(globalThis, name)]);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

beforeEach(() => {
  mock.timers.enable({ apis: ["Date", "setTimeout"], now: 1_700_000_000_000 });
  elapsed = 0;
  mock.method(performance, "now", () => elapsed);
  service = new Service();
  clients = [];
  globals = [];
  setGlobal("navigator", {});
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
  for (const [name, descriptor] of globals.reverse()) {
    delete globalThis[name];
    if (descriptor) Object.defineProperty(globalThis, name, descriptor);
  }
  for (const client of clients) client.close();
});

export function clientOf(options) {
  const client = new AuthClient({ url: URL_OF_SERVICE, fetch: service.fetch, ...options });
  client.heard = [];
  for (const type of ["signedin", "refreshed", "refreshfailed", "signedout"]) {
    client.addEventListener(type, ({ detail }) => client.heard.push([type, detail.reason ?? detail.error?.code]));
  }
  clients.push(client);
  return client;
}

export async function signedIn(options) {
  const client = clientOf(options);
  await client.signIn({ username: "alice", password: "right" });
  return client;
}

/** Let time pass in small steps until a promise is settled. */
export async function settled(promise) {
  let done = false;
  const end = () => (done = true);
  promise.then(end, end);
  for (let step = 0; !done && step < 2000; step += 1) {
    await new Promise(setImmediate);
    pass(100);
  }
  return promise;
}

/** What several clients share, as tabs share localStorage. */
export function shared() {
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, text) => items.set(key, text),
    removeItem: (key) => items.delete(key),
    clear: () => items.clear(),
  };
}

export const refused = (code, status) => (error) =>
  error instanceof AuthError && error.code === code && error.status === status;
export const lost = () => {
  throw new TypeError("fetch failed");
};


/** Web Locks: one holder, a queue, `signal` and `steal`. */
export function fakeLocks() {
  let holder = null;
  const queue = [];
  const start = (entry) => {
    holder = entry;
    entry.task().then(entry.resolve, entry.reject).finally(() => holder === entry && next());
  };
  const next = () => {
    holder = null;
    if (queue.length) start(queue.shift());
  };
  const aborted = () => new DOMException("aborted", "AbortError");
  return {
    request: (name, { signal, steal }, task) =>
      new Promise((resolve, reject) => {
        const entry = { task, resolve, reject };
        if (signal?.aborted) return reject(aborted());
        if (steal) {
          holder?.reject(aborted());
          return start(entry);
        }
        queue.push(entry);
        signal?.addEventListener("abort", () => {
          if (queue.includes(entry)) queue.splice(queue.indexOf(entry), 1);
          reject(aborted());
        });
        if (!holder) next();
      }),
  };
}
