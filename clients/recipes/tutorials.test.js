// The front ends of the Node tutorials, unchanged: they refresh on every 401 and never replace the first refresh token.
// SERVICE runs with AUTH_REFRESH_TOKEN_ROTATION=false.
import assert from "node:assert/strict";
import { test } from "node:test";

import axios from "axios";

const url = process.env.SERVICE;

/** What the tutorials' services and interceptors do, with a place for what they keep in localStorage. */
function tutorial() {
  let user = null;
  const api = axios.create({ baseURL: `${url}/api`, headers: { "Content-Type": "application/json" } });
  api.interceptors.request.use((config) => {
    if (user?.accessToken) config.headers["x-access-token"] = user.accessToken;
    return config;
  });
  api.interceptors.response.use(
    (answer) => answer,
    async (error) => {
      const original = error.config;
      if (original.url !== "/auth/signin" && error.response && error.response.status === 401 && !original._retry) {
        original._retry = true;
        const { data } = await api.post("/auth/refreshtoken", { refreshToken: user.refreshToken });
        user = { ...user, accessToken: data.accessToken };
        return api(original);
      }
      throw error;
    },
  );
  return {
    api,
    signIn: async (username, password) => (user = (await api.post("/auth/signin", { username, password })).data),
  };
}

test("users sign up, sign in and refresh repeatedly", async () => {
  const { api, signIn } = tutorial();
  const account = { username: "reader", email: "reader@example.com", password: "12345678 correct" };
  assert.equal((await api.post("/auth/signup", account)).data.message, "User was registered successfully!");
  await assert.rejects(api.post("/auth/signup", account), ({ response }) =>
    response.data.message.startsWith("Failed! Username"),
  );
  const user = await signIn("reader", account.password);
  assert.deepEqual(user.roles, ["ROLE_USER"]);
  assert.equal((await axios.get(`${url}/api/test/all`)).data, "Public Content.");
  assert.equal((await api.get("/test/user")).data, "User Content.");

  for (const [currentPassword, newPassword] of [
    [account.password, "another good one"],
    ["another good one", account.password],
  ]) {
    await api.post("/auth/password/change", { currentPassword, newPassword }); // makes the access token stale
    assert.equal((await api.get("/test/user")).data, "User Content.");
  }
  const answers = await Promise.all([api.get("/test/user"), api.get("/test/user")]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200],
  );
});

test("after the session has ended, a refresh gets 403 and nothing loops", async () => {
  const { api, signIn } = tutorial();
  const account = { username: "leaver", email: "leaver@example.com", password: "12345678 correct" };
  await api.post("/auth/signup", account);
  await signIn("leaver", account.password);
  await api.post("/auth/signout-all");

  await assert.rejects(
    api.get("/test/user"),
    ({ response }) => response.status === 403 && response.data.code === "refresh_token_revoked",
  );
});
