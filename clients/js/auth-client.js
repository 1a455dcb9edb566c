// Generated from src/ by `npm run build`. Types: auth-client.d.ts. Usage: README.md.
// src/auth-client.js
/** Seconds before its expiry at which an access token is renewed; at most a fifth of its lifetime. */
const RENEWAL_MARGIN = 30;
/** Milliseconds before each retry of a refresh without a response. Retries send the same refresh token. */
const RETRY_DELAYS = [
	300,
	1e3,
	3e3
];
/** Milliseconds to wait for a response: less than the service's grace period (10 s), within which a retry succeeds. */
const RESPONSE_TIMEOUT = 8e3;
/** Seconds: a request waits for `Retry-After` up to this value, and fails beyond it. */
const MAX_RETRY_AFTER = 30;
/** Milliseconds to hold the lock after writing, because other tabs see changes of localStorage with a delay. */
const STORAGE_SYNC_DELAY = 100;
const SAFE_METHODS = /* @__PURE__ */ new Set([
	"GET",
	"HEAD",
	"OPTIONS"
]);
/** The error of every failed call: an error response of the service, or no response (`network_error`, status 0). */
var AuthError = class extends Error {
	constructor(message, { code, status = 0, retryAfter = null, errors = {}, cause } = {}) {
		super(message, { cause });
		Object.assign(this, {
			name: "AuthError",
			code,
			status,
			retryAfter,
			errors
		});
	}
};
/**
* A session of one user, shared by all tabs whose clients have the same `storage` and `url`.
*
* Events: `signedin` {user}, `refreshed` {user}, `refreshfailed` {error}, `signedout` {reason, user}.
*/
var AuthClient = class extends EventTarget {
	#base;
	#origins;
	#usesCookies;
	#storage;
	#fetch;
	#key;
	#pendingRenewal;
	#backoff = { until: 0 };
	constructor({ url = "/", transport = "body", storage, origins = [], fetch = globalThis.fetch } = {}) {
		super();
		const page = globalThis.location?.href;
		this.#base = new URL(url.endsWith("/") ? url : `${url}/`, page);
		this.#origins = new Set([
			this.#base,
			page,
			...origins
		].filter(Boolean).map((one) => new URL(one).origin));
		this.#usesCookies = transport === "cookie";
		this.#storage = storage ?? (this.#usesCookies && globalThis.localStorage) ?? null;
		this.#storage ||= memoryStorage();
		this.#fetch = (...args) => fetch(...args);
		this.#key = `auth-client:${this.#base}`;
		globalThis.addEventListener?.("storage", this.#onStorage);
	}
	/** Stop listening to other tabs. */
	close() {
		globalThis.removeEventListener?.("storage", this.#onStorage);
	}
	/** Return the session (user, times and, without cookies, tokens), or null if no user is signed in. */
	async session() {
		try {
			return JSON.parse(await this.#storage.getItem(this.#key));
		} catch {
			return null;
		}
	}
	/** Create an account. This does not sign in. */
	signUp(fields) {
		return this.#post("auth/signup", fields);
	}
	/** Sign in. `username` may be an email address. */
	async signIn({ username, password, ...others }) {
		const useCookies = this.#usesCookies || void 0;
		const response = await this.#post("auth/signin", {
			...others,
			username,
			password,
			useCookies
		});
		return this.#startSession(response, response);
	}
	/** With cookies: continue a session that was started elsewhere, as on a sibling subdomain. Return null if there is none. */
	async resume() {
		const existing = await this.session();
		if (existing || !this.#usesCookies) return existing;
		try {
			const tokens = await this.#withLock(() => this.#retry(() => this.#post("auth/refreshtoken", {})));
			return await this.#startSession(tokens, await parseResponse(await this.#send(this.#request("GET", "auth/me"))));
		} catch (error) {
			if (endsSession(error) || error.code === "csrf_failed") return null;
			throw error;
		}
	}
	/** Sign out in every tab. Without cookies, the tokens are deleted even if the service cannot be reached. */
	async signOut() {
		const session = await this.session();
		if (!session) return;
		if (!this.#usesCookies) await this.#endSession("signed_out", session);
		await this.#retry(() => this.#post("auth/signout", { refreshToken: session.refreshToken }));
		if (this.#usesCookies) await this.#endSession("signed_out", session);
	}
	/** Sign out on all devices. */
	async signOutEverywhere() {
		const session = await this.session();
		await this.call("POST", "auth/signout-all");
		await this.#endSession("signed_out_everywhere", session);
	}
	/** Confirm the password after a 403 `recent_authentication_required`. */
	async reauthenticate(password) {
		const response = await this.call("POST", "auth/reauthenticate", { password });
		return this.#withLock(async () => {
			const session = await this.session();
			if (!session) throw signedOutError();
			return this.#storeSession({
				...session,
				...response
			}, "refreshed");
		});
	}
	/**
	* Refresh the session, unless it was refreshed since `stale`, the session that a refused request was sent with.
	* Simultaneous calls, in any tab, wait for the same refresh.
	*/
	async refresh(stale) {
		const session = stale ?? await this.session();
		if (!session) throw signedOutError();
		return this.#renew(session);
	}
	/** Call an endpoint below /api/. Return the parsed response, or null if it is empty. */
	async call(method, path, body) {
		return parseResponse(await this.fetch(this.#request(method, path, body)));
	}
	/**
	* `fetch` with the session's access token. The token is renewed shortly before it expires, and after a 401, in which
	* case the request is repeated once. Only the service, the page's origin and `origins` receive the token.
	*/
	async fetch(input, init) {
		const address = input instanceof Request ? input : new URL(input, globalThis.document?.baseURI ?? this.#base);
		const request = new Request(address, init);
		if (!this.#origins.has(new URL(request.url).origin)) return this.#fetch(request);
		const session = await this.fresh();
		const response = await this.#send(request.clone(), session);
		if (response.status !== 401 || !session) return response;
		await response.body?.cancel();
		return this.#send(request, await this.#renew(session));
	}
	/** Return the session, refreshed if its token is about to expire, for requests that are not sent with `fetch`. */
	async fresh() {
		const session = await this.session();
		if (!session || secondsLeft(session) > Math.min(RENEWAL_MARGIN, session.expiresIn / 5)) return session;
		try {
			return await this.#renew(session);
		} catch (error) {
			if (!endsSession(error) && secondsLeft(session) > 0) return session;
			throw error;
		}
	}
	#renew(stale) {
		this.#pendingRenewal ??= this.#withLock(() => this.#renewWithLock(stale)).finally(() => {
			this.#pendingRenewal = void 0;
		});
		return this.#pendingRenewal;
	}
	async #renewWithLock(stale) {
		const session = await this.session();
		if (session?.user.id !== stale.user.id) throw signedOutError();
		if (!isSameSession(session, stale)) return session;
		if (Date.now() < this.#backoff.until) throw this.#backoff.error;
		const response = await this.#exchangeRefreshToken(session);
		const current = await this.session();
		if (current?.signedInAt !== session.signedInAt) throw signedOutError();
		if (!isSameSession(current, session)) return current;
		return this.#storeSession({
			...session,
			...response
		}, "refreshed");
	}
	/** Exchange the refresh token. Only a refusal of that token ends the session. */
	async #exchangeRefreshToken(session) {
		try {
			const { refreshToken } = session;
			return await this.#retry(() => this.#post("auth/refreshtoken", { refreshToken }));
		} catch (error) {
			if (endsSession(error)) await this.#endSession(error.code, session);
			else this.#dispatch("refreshfailed", { error });
			if (error.retryAfter) this.#backoff = {
				until: Date.now() + error.retryAfter * 1e3,
				error
			};
			throw error;
		}
	}
	/** Run a task while no other tab does. Without Web Locks two may; the service's grace period gives both one response. */
	#withLock(task) {
		const locks = globalThis.navigator?.locks;
		if (!locks) return task();
		return new Promise((resolve, reject) => {
			locks.request(this.#key, async () => {
				await task().then(resolve, reject);
				await delay(STORAGE_SYNC_DELAY);
			});
		});
	}
	/** Run a task, and retry it after temporary failures. */
	async #retry(task) {
		for (const pause of RETRY_DELAYS) try {
			return await task();
		} catch (error) {
			if (!(error.status === 0 || error.status === 429 || error.status >= 500) || error.retryAfter > MAX_RETRY_AFTER) throw error;
			await delay(error.retryAfter ? error.retryAfter * 1e3 : pause);
		}
		return task();
	}
	#request(method, path, body) {
		return new Request(new URL(`api/${path}`, this.#base), {
			method,
			headers: body && { "Content-Type": "application/json" },
			body: body && JSON.stringify(body),
			credentials: this.#usesCookies ? "include" : "omit"
		});
	}
	/** Call an endpoint that ignores access tokens. */
	async #post(path, body) {
		const request = new Request(this.#request("POST", path, body), { signal: AbortSignal.timeout(RESPONSE_TIMEOUT) });
		return parseResponse(await this.#send(request));
	}
	async #send(request, session) {
		let signedRequest = request;
		if (this.#usesCookies) {
			signedRequest = new Request(request, { credentials: "include" });
			if (!SAFE_METHODS.has(request.method)) signedRequest.headers.set("X-CSRFToken", csrfToken());
		} else if (session) signedRequest.headers.set("Authorization", `Bearer ${session.accessToken}`);
		try {
			return await this.#fetch(signedRequest);
		} catch (error) {
			throw request.signal.aborted && error?.name !== "TimeoutError" ? error : networkError(error);
		}
	}
	#startSession(tokens, { id, username, email, fullname, roles }) {
		const { accessToken, refreshToken, expiresIn, refreshExpiresIn } = tokens;
		const session = {
			user: {
				id,
				username,
				email,
				fullname,
				roles
			},
			signedInAt: Date.now(),
			accessToken,
			refreshToken,
			expiresIn,
			refreshExpiresIn
		};
		return this.#storeSession(session, "signedin");
	}
	async #storeSession(session, event) {
		const stored = {
			...session,
			renewedAt: Date.now()
		};
		await this.#storage.setItem(this.#key, JSON.stringify(stored));
		this.#dispatch(event, { user: stored.user });
		return stored;
	}
	async #endSession(reason, session) {
		if ((await this.session())?.signedInAt !== session.signedInAt) return;
		await this.#storage.removeItem(this.#key);
		this.#dispatch("signedout", {
			reason,
			user: session.user
		});
	}
	#dispatch(event, detail) {
		this.dispatchEvent(new CustomEvent(event, { detail }));
	}
	/** Another tab has changed the shared storage. */
	#onStorage = ({ key, oldValue, newValue, storageArea }) => {
		if (storageArea !== this.#storage || key !== null && key !== this.#key) return;
		const [before, after] = [oldValue, newValue].map((text) => JSON.parse(text ?? "null"));
		if (!after) this.#dispatch("signedout", {
			reason: "other_tab",
			user: before?.user ?? null
		});
		else this.#dispatch(before?.user.id === after.user.id ? "refreshed" : "signedin", { user: after.user });
	};
};
function memoryStorage() {
	const items = /* @__PURE__ */ new Map();
	return {
		getItem: (key) => items.get(key) ?? null,
		setItem: (key, text) => items.set(key, text),
		removeItem: (key) => items.delete(key)
	};
}
function delay(milliseconds) {
	return new Promise((done) => setTimeout(done, milliseconds));
}
function secondsLeft({ renewedAt, expiresIn }) {
	return expiresIn - (Date.now() - renewedAt) / 1e3;
}
function isSameSession(one, other) {
	return one?.renewedAt === other.renewedAt && one.accessToken === other.accessToken;
}
/** Return whether the error ends the session. Other errors, such as a proxy's 403, do not. */
function endsSession(error) {
	return error.status === 403 && error.code.startsWith("refresh_token_");
}
/** Return the service's own CSRF token, or else `csrftoken`, which another Django site of the domain may have set. */
function csrfToken() {
	const cookies = globalThis.document?.cookie ?? "";
	return (cookies.match(/(?:^|; )__(?:Host|Secure)-csrftoken=([^;]+)/) ?? cookies.match(/(?:^|; )csrftoken=([^;]+)/))?.[1] ?? "";
}
async function parseResponse(response) {
	const isJson = response.headers.get("Content-Type")?.includes("json");
	const content = await (isJson ? response.json() : response.text()).catch((error) => {
		throw networkError(error);
	});
	if (response.ok) return content || null;
	const { message = `Status ${response.status}`, code = "unexpected_answer", errors } = isJson ? content : {};
	throw new AuthError(message, {
		code,
		status: response.status,
		retryAfter: retryAfter(response),
		errors
	});
}
/** Return `Retry-After` in seconds. The header is a number or a date (RFC 9110 section 10.2.3). */
function retryAfter(response) {
	const value = response.headers.get("Retry-After");
	if (value === null) return null;
	const seconds = Number(value) || (Date.parse(value) - Date.now()) / 1e3;
	return seconds > 0 ? Math.ceil(seconds) : null;
}
function networkError(cause) {
	return new AuthError("The service cannot be reached.", {
		code: "network_error",
		cause
	});
}
function signedOutError() {
	return new AuthError("Nobody is signed in.", { code: "signed_out" });
}
export { AuthClient, AuthError };
