// Generated from src/ by `npm run build`. Types: auth-client.d.ts. Usage: README.md.
// src/errors.js
/**
* The error of every failed call: an error response of the service, or no response (`network_error`, status 0).
*
* `details` has all fields of the service's response.
*/
var AuthError = class extends Error {
	constructor(message, { code, status = 0, retryAfter = null, errors = {}, details = {}, cause } = {}) {
		super(message, { cause });
		Object.assign(this, {
			name: "AuthError",
			code,
			status,
			retryAfter,
			errors,
			details
		});
	}
};
function networkError(cause) {
	return new AuthError("The service cannot be reached.", {
		code: "network_error",
		cause
	});
}
function signedOutError() {
	return new AuthError("No user is signed in.", { code: "signed_out" });
}
/** Return the error for a response that the service does not give, such as the sign-in page of a public network. */
function unexpectedAnswer(status, cause) {
	return new AuthError("The response is not one of the service. Is there a network that asks for a sign-in?", {
		code: "unexpected_answer",
		status,
		cause
	});
}
/** Return whether the error ends the session. Other errors, such as a proxy's 403, do not. */
function endsSession(error) {
	return error.status === 403 && error.code.startsWith("refresh_token_");
}
/** Return whether a retry may succeed. A response that cannot be read may have been cut off. */
function isTemporary({ status, code }) {
	return status === 0 ? code === "network_error" : status === 429 || status >= 500 || status < 300 && code === "unexpected_answer";
}
// src/waiting.js
function delay(milliseconds) {
	return new Promise((done) => setTimeout(done, milliseconds));
}
/** Return a promise that settles as `promise` does, or is rejected with the signal's reason as soon as that is aborted. */
function abortable(promise, signal) {
	if (!signal) return promise;
	return new Promise((resolve, reject) => {
		const abort = () => reject(signal.reason);
		if (signal.aborted) abort();
		signal.addEventListener("abort", abort, { once: true });
		promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
	});
}
/** Run a task with a signal that is aborted with `signal`, or with a TimeoutError after `milliseconds`. */
async function withTimeout(milliseconds, signal, task) {
	const controller = new AbortController();
	const abort = () => controller.abort(signal.reason);
	const expire = () => controller.abort(new DOMException("The response did not arrive in time.", "TimeoutError"));
	const timer = setTimeout(expire, milliseconds);
	if (signal?.aborted) abort();
	signal?.addEventListener("abort", abort, { once: true });
	try {
		return await abortable(task(controller.signal), controller.signal);
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener("abort", abort);
	}
}
// src/lock.js
/** Milliseconds to hold the lock after writing, because other tabs see changes of localStorage with a delay. */
const STORAGE_SYNC_DELAY = 100;
/**
* Runs one task at a time, in all tabs (Web Locks). Where there are no Web Locks, one at a time of this client.
*
* `countWrites` returns the number of changes to the shared storage by this client.
*/
var Lock = class {
	#name;
	#countWrites;
	#queue = Promise.resolve();
	constructor(name, countWrites) {
		this.#name = name;
		this.#countWrites = countWrites;
	}
	/**
	* Run a task and return its result. Tasks of other tabs are waited for up to `patience` milliseconds, because the browser
	* may have suspended their tab; after that, the task runs beside them.
	*
	* Throws the reason of `signal` if it is aborted. A task that has started continues.
	*/
	run(task, { patience, signal } = {}) {
		const locks = globalThis.navigator?.locks;
		return abortable(locks ? this.#runLocked(locks, task, patience, signal) : this.#runQueued(task, signal), signal);
	}
	#runQueued(task, signal) {
		const run = this.#queue.then(() => signal?.aborted ? void 0 : task());
		this.#queue = run.catch(() => {});
		return run;
	}
	#runLocked(locks, task, patience, signal) {
		return new Promise((resolve, reject) => {
			let isStarted = false;
			const waiting = new AbortController();
			const stopWaiting = () => waiting.abort();
			const timer = setTimeout(stopWaiting, patience);
			signal?.addEventListener("abort", stopWaiting, { once: true });
			const start = async () => {
				isStarted = true;
				clearTimeout(timer);
				const writes = this.#countWrites();
				await task().then(resolve, reject);
				if (this.#countWrites() !== writes) await delay(STORAGE_SYNC_DELAY);
			};
			const unlessStarted = (next) => () => isStarted || signal?.aborted ? void 0 : next();
			locks.request(this.#name, { signal: waiting.signal }, start).catch(unlessStarted(() => locks.request(this.#name, { steal: true }, start))).catch(unlessStarted(start));
		});
	}
};
// src/responses.js
/**
* Return the content of a response after `parse`, which returns undefined for content that it does not expect.
*
* Throws AuthError, or the reason of `signal` if it is aborted.
*/
async function readResponse(response, parse, signal) {
	const content = decode(await response.text().catch((error) => {
		throw signal?.aborted ? signal.reason : networkError(error);
	}), response.headers.get("Content-Type") ?? "");
	if (!response.ok) throw refusal(response, content);
	const parsed = content === void 0 ? void 0 : parse(content, response);
	if (parsed === void 0) throw unexpectedAnswer(response.status);
	return parsed;
}
/** Return parsed JSON, plain text, or null for an empty response; undefined for anything else. */
function decode(text, type) {
	if (!text) return null;
	if (type.startsWith("text/plain")) return text;
	return type.includes("json") ? parseJson(text) : void 0;
}
/** Return the value of a JSON text, or undefined if it is none. */
function parseJson(text) {
	try {
		return JSON.parse(text);
	} catch {
		return;
	}
}
function refusal(response, content) {
	const details = isObject(content) ? content : {};
	const { status } = response;
	const code = isText(details.code) ? details.code : "unexpected_answer";
	const message = isText(details.message) ? details.message : `Status ${status}`;
	const errors = isObject(details.errors) ? details.errors : {};
	return new AuthError(message, {
		code,
		status,
		retryAfter: retryAfter(response),
		errors,
		details
	});
}
/** Return `Retry-After` in seconds. The header is a number or a date (RFC 9110 section 10.2.3). */
function retryAfter(response) {
	const value = response.headers.get("Retry-After");
	if (value === null) return null;
	const seconds = Number(value) || (Date.parse(value) - Date.now()) / 1e3;
	return seconds > 0 && seconds < 1e400 ? Math.ceil(seconds) : null;
}
/** Return any content of a response that has the service's format. No 200 of the service is empty. */
const parseAny = (content, { status }) => content === null && status === 200 ? void 0 : content;
/** Return null for the empty response to a sign-out. */
const parseNothing = (content, { status }) => status === 204 ? null : void 0;
/** Return the user in a response. */
function parseUser(content) {
	if (!isObject(content)) return void 0;
	const { id, username, email, fullname, roles } = content;
	return (Number.isInteger(id) || isText(id)) && isText(username) && Array.isArray(roles) && roles.every(isText) ? {
		id,
		username,
		email,
		fullname,
		roles
	} : void 0;
}
/** Return the response to a sign-up. */
const parseSignUp = (content) => parseUser(content) && content;
/** Return the access token and its lifetime in a response; with cookies, only the lifetime. */
function parseAccess(content, usesCookies) {
	if (!isObject(content)) return void 0;
	const { accessToken, expiresIn } = content;
	if (!(expiresIn > 0 && Number.isFinite(expiresIn))) return void 0;
	if (usesCookies) return { expiresIn };
	return isToken(accessToken) ? {
		accessToken,
		expiresIn
	} : void 0;
}
/** Return both tokens and their lifetimes in a response; with cookies, only the lifetimes. */
function parseTokens(content, usesCookies) {
	const access = parseAccess(content, usesCookies);
	if (!access) return void 0;
	const { refreshToken, refreshExpiresIn } = content;
	if (usesCookies) return {
		...access,
		refreshExpiresIn
	};
	return isToken(refreshToken) ? {
		...access,
		refreshToken,
		refreshExpiresIn
	} : void 0;
}
/** Return whether a value is a session that this client has stored, with tokens or, with cookies, without. */
function isSession(value) {
	if (!isObject(value) || !parseUser(value.user) || !Number.isFinite(value.renewedAt) || !(value.expiresIn > 0)) return false;
	return [value.accessToken, value.refreshToken].every((token) => token === void 0 || isToken(token));
}
/** Return whether a value can be sent in a header. */
function isToken(value) {
	return isText(value) && /^[!-~]+$/.test(value);
}
function isObject(value) {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
function isText(value) {
	return typeof value === "string" && value !== "";
}
// src/stored-value.js
/**
* A JSON value in a storage that may fail: full, blocked, or overwritten by others. No method throws.
*
* A value that cannot be stored is remembered, and so is the last value if the storage can no longer be read.
*/
var StoredValue = class {
	/** The number of changes so far. */
	version = 0;
	#storage;
	#key;
	#isValid;
	#last = null;
	#writing;
	#isUnstored = false;
	#textInstead;
	constructor(storage, key, isValid) {
		this.#storage = storage;
		this.#key = key;
		this.#isValid = isValid;
	}
	/** Return the value, or null if there is none. */
	async get() {
		await this.#writing;
		const { version } = this;
		const text = await this.#read();
		if (version !== this.version) return this.get();
		if (this.#isUnstored && text === this.#textInstead) return this.#last;
		this.#isUnstored = false;
		const value = text === null ? null : parseJson(text);
		if (text === null || this.#isValid(value)) this.#last = value;
		return this.#last;
	}
	/** Store the value, or remove it if it is null. */
	set(value) {
		this.version += 1;
		this.#last = value;
		this.#writing = this.#store(value);
		return this.#writing;
	}
	async #store(value) {
		const isStored = await this.#write(value) || await this.#write(null) && await this.#write(value);
		if (!isStored) this.#textInstead = await this.#read();
		this.#isUnstored = !isStored;
	}
	async #write(value) {
		try {
			if (value === null) await this.#storage.removeItem(this.#key);
			else await this.#storage.setItem(this.#key, JSON.stringify(value));
			return true;
		} catch {
			return false;
		}
	}
	/** Return the stored text, null if there is none, or undefined if the storage cannot be read. */
	async #read() {
		try {
			return await this.#storage.getItem(this.#key) ?? null;
		} catch {
			return;
		}
	}
};
/** Return the storage that `chosen` is or returns. In a sandboxed frame, to name a storage throws: then it is the memory. */
function openStorage(chosen) {
	try {
		return (typeof chosen === "function" ? chosen() : chosen) ?? memoryStorage();
	} catch {
		return memoryStorage();
	}
}
function memoryStorage() {
	const items = /* @__PURE__ */ new Map();
	return {
		getItem: (key) => items.get(key) ?? null,
		setItem: (key, text) => items.set(key, text),
		removeItem: (key) => items.delete(key)
	};
}
// src/session-holder.js
/**
* The stored session, and what listeners know of it.
*
* `dispatch(event, detail)` is called for each change: by this client, by another tab, or by who clears the storage.
*/
var SessionHolder = class {
	/** A session that is no longer stored, and that the service may still have. */
	lost = null;
	#stored;
	#dispatch;
	/** The session that listeners know of; undefined before the first look. */
	#known;
	constructor(storage, key, dispatch) {
		this.#stored = new StoredValue(storage, key, isSession);
		this.#dispatch = dispatch;
	}
	get version() {
		return this.#stored.version;
	}
	/** Return whether listeners know of a session. */
	get isKnown() {
		return Boolean(this.#known);
	}
	/** Return the stored session or null, and report it if listeners know of another one. */
	async look(reasonOfEnd = "storage_cleared") {
		let version;
		let session;
		do {
			version = this.#stored.version;
			session = await this.#stored.get();
		} while (version !== this.#stored.version);
		const before = this.#known;
		this.#known = session;
		if (before !== void 0) this.#report(before, session, reasonOfEnd);
		return session;
	}
	/** Look at the session after another tab has changed it. `textBefore` is what was stored before. */
	onChange(textBefore) {
		const before = parseJson(textBefore ?? "null");
		if (this.#known === void 0) this.#known = isSession(before) ? before : null;
		return this.look("other_tab");
	}
	/** Store a session with new tokens, and report it as `event`. */
	async store(session, event) {
		const stored = await this.replace({
			...session,
			renewedAt: Date.now()
		});
		this.#dispatch(event, { user: stored.user });
		return stored;
	}
	/** Store a session without reporting it. */
	async replace(session) {
		this.#known = session;
		await this.#stored.set(session);
		return session;
	}
	/** Delete a session and report its end, unless another one was started in the meantime. */
	async end(reason, session) {
		if (!isOfSameSignIn(await this.look(), session)) return;
		await this.replace(null);
		this.#dispatch("signedout", {
			reason,
			user: session.user
		});
	}
	#report(before, session, reasonOfEnd) {
		if (!session && before) {
			this.lost = before;
			this.#dispatch("signedout", {
				reason: reasonOfEnd,
				user: before.user
			});
		} else if (session && !isOfSameSignIn(before, session)) this.#dispatch("signedin", { user: session.user });
		else if (session && JSON.stringify(before) !== JSON.stringify(session)) this.#dispatch("refreshed", { user: session.user });
	}
};
/** Return whether two sessions have the same tokens. */
function isSameSession(one, other) {
	return one?.renewedAt === other.renewedAt && one.accessToken === other.accessToken;
}
/** Return whether two sessions, of which the first may be null, began with the same sign-in. */
function isOfSameSignIn(one, other) {
	return Boolean(one) && one.signedInAt === other.signedInAt && one.user.id === other.user.id;
}
// src/shared-failure.js
/** The last failure of a refresh, known to all tabs that share a storage. */
var SharedFailure = class {
	#stored;
	#seen = {};
	constructor(storage, key) {
		this.#stored = new StoredValue(storage, key, (value) => isObject(value) && isText(value.id) && isText(value.code));
	}
	get version() {
		return this.#stored.version;
	}
	async record({ message, code, status, retryAfter, errors, details }) {
		const id = `${Date.now()}-${Math.random()}`;
		const until = Date.now() + (retryAfter ?? 0) * 1e3;
		await this.#stored.set({
			id,
			message,
			code,
			status,
			retryAfter,
			errors,
			details,
			until
		});
		await this.latest();
	}
	async clear() {
		if (await this.#stored.get()) await this.#stored.set(null);
	}
	/**
	* Return the last failure as {id, error, wait}, or null. `wait` is the rest of its `Retry-After` in milliseconds, measured
	* from when this tab learned of it by a clock that cannot be set.
	*/
	async latest() {
		const failure = await this.#stored.get();
		if (!failure) return null;
		const { id, message, until } = failure;
		const longest = (failure.retryAfter ?? 0) * 1e3;
		if (this.#seen.id !== id) this.#seen = {
			id,
			end: performance.now() + clamp(until - Date.now(), longest)
		};
		return {
			id,
			error: new AuthError(message, failure),
			wait: Math.max(0, this.#seen.end - performance.now())
		};
	}
};
function clamp(value, maximum) {
	return Math.min(Math.max(value, 0), maximum);
}
// src/renewal.js
/** Seconds: a call waits for `Retry-After` up to this value, and fails beyond it. */
const MAX_RETRY_AFTER = 30;
/** How often a call waits for `Retry-After`. */
const MAX_WAITS = 3;
/** Milliseconds to wait for another tab's refresh: short enough to repeat it within the service's grace period (10 s). */
const REFRESH_PATIENCE = 6e3;
/** Refreshes the session, once for all requests and tabs that wait for it. */
var Renewal = class {
	#holder;
	#requests;
	#lock;
	#dispatch;
	#usesCookies;
	#failure;
	/** Set while a refresh is in progress. It remains if the tab is closed, and the next tab repeats the refresh. */
	#started;
	#pending = null;
	constructor({ holder, requests, lock, dispatch, usesCookies, storage, key }) {
		this.#holder = holder;
		this.#requests = requests;
		this.#lock = lock;
		this.#dispatch = dispatch;
		this.#usesCookies = usesCookies;
		this.#failure = new SharedFailure(storage, `${key}:failure`);
		this.#started = new StoredValue(storage, `${key}:refreshing`, (value) => isObject(value) && "refreshing" in value);
	}
	get version() {
		return this.#failure.version + this.#started.version;
	}
	/** Refresh the session, unless it was refreshed since `stale`. Throws AuthError. */
	renew(stale) {
		if (!isOfSameSignIn(this.#pending, stale)) {
			const pending = { ...stale };
			pending.promise = this.#renewWhenAllowed(stale).finally(() => {
				if (this.#pending === pending) this.#pending = null;
			});
			this.#pending = pending;
		}
		return this.#pending.promise;
	}
	/** Exchange a refresh token, or the cookie, for new tokens. Throws AuthError. */
	exchange(refreshToken) {
		const parse = (content) => parseTokens(content, this.#usesCookies);
		if (this.#usesCookies) return this.#requests.postPastClosing("auth/refreshtoken", { parse });
		return this.#requests.postRepeatedly("auth/refreshtoken", { refreshToken }, { parse });
	}
	/** Return the user of a session, as the service knows them now. Throws AuthError. */
	fetchUser(session) {
		return this.#requests.callSigned("GET", "auth/me", session, parseUser);
	}
	/** Learn of a failure in another tab. Its `Retry-After` counts from now. */
	noteFailure() {
		return this.#failure.latest();
	}
	/** Forget the last failure, after a sign-in. */
	forgetFailure() {
		return this.#failure.clear();
	}
	/** Repeat the refresh of a tab that was closed before it stored the response. */
	async finish() {
		if (!await this.#started.get()) return;
		const finish = async () => {
			const [started, session] = [await this.#started.get(), await this.#holder.look()];
			if (started && started.refreshing === session?.renewedAt) await this.#refresh(session);
		};
		await this.#lock.run(finish, { patience: REFRESH_PATIENCE }).catch(() => {});
	}
	async #renewWhenAllowed(stale) {
		const last = await this.#failure.latest();
		if (last?.wait > MAX_RETRY_AFTER * 1e3) throw last.error;
		try {
			return await waitForRetryAfter(() => this.#renewInTurn(stale));
		} catch (error) {
			if (!endsSession(error) && error.code !== "signed_out") this.#dispatch("refreshfailed", { error });
			throw error;
		}
	}
	async #renewInTurn(stale) {
		const last = await this.#failure.latest();
		if (last?.wait) await delay(last.wait);
		return this.#lock.run(() => this.#renewUnlessDone(stale, last?.id), { patience: REFRESH_PATIENCE });
	}
	async #renewUnlessDone(stale, idOfLastFailure) {
		const session = await this.#holder.look();
		if (session?.user.id !== stale.user.id) throw signedOutError();
		if (!isSameSession(session, stale)) return session;
		const failure = await this.#failure.latest();
		if (failure && failure.id !== idOfLastFailure) throw failure.error;
		return this.#refresh(session);
	}
	async #refresh(session) {
		await this.#started.set({ refreshing: session.renewedAt });
		try {
			return await this.#store(session, await this.exchange(session.refreshToken));
		} catch (error) {
			if (endsSession(error)) await this.#holder.end(error.code, session);
			else if (error.code !== "signed_out") await this.#failure.record(error);
			throw error;
		} finally {
			await this.#started.set(null);
		}
	}
	async #store(session, tokens) {
		const current = await this.#holder.look();
		if (!isOfSameSignIn(current, session)) throw signedOutError();
		if (!isSameSession(current, session)) return current;
		const renewed = await this.#holder.replace({
			...session,
			...tokens,
			renewedAt: Date.now()
		});
		await this.#failure.clear();
		const user = await this.fetchUser(renewed).catch(() => renewed.user);
		return this.#storeUser(renewed, user);
	}
	/** Store the user of a refreshed session: roles and names may have changed. */
	async #storeUser(renewed, user) {
		const current = await this.#holder.look();
		if (!isSameSession(current, renewed)) return current ?? renewed;
		const session = user.id === renewed.user.id && JSON.stringify(user) !== JSON.stringify(renewed.user) ? await this.#holder.replace({
			...renewed,
			user
		}) : renewed;
		this.#dispatch("refreshed", { user: session.user });
		return session;
	}
};
/** Run a task, and repeat it after the time that a failure asks for. */
async function waitForRetryAfter(task) {
	for (let waits = 0;; waits += 1) try {
		return await task();
	} catch (error) {
		const seconds = error?.retryAfter;
		if (!seconds || seconds > MAX_RETRY_AFTER || waits === MAX_WAITS) throw error;
		await delay(seconds * 1e3);
	}
}
// src/requests.js
/** Milliseconds to wait for a response: half of the service's grace period (10 s), within which a retry succeeds. */
const RESPONSE_TIMEOUT = 5e3;
/** Milliseconds to wait for the response to a sign-in, for which there is no retry. */
const PASSWORD_TIMEOUT = 8e3;
/** Milliseconds before each retry of a request without a response. Retries send the same refresh token. */
const RETRY_DELAYS = [
	300,
	1e3,
	3e3
];
/** Milliseconds after which no retry starts. A refresh that the service has executed cannot be repeated much later. */
const RETRY_PERIOD = 8e3;
const SAFE_METHODS = /* @__PURE__ */ new Set([
	"GET",
	"HEAD",
	"OPTIONS"
]);
/** Sends requests to the service, with the session's token or with cookies. */
var Requests = class {
	#base;
	#usesCookies;
	#fetch;
	constructor(base, usesCookies, fetch) {
		this.#base = base;
		this.#usesCookies = usesCookies;
		this.#fetch = async (request) => fetch(request);
	}
	/** Return a request to an endpoint below /api/. */
	build(method, path, body, options) {
		return new Request(new URL(`api/${path}`, this.#base), {
			method,
			headers: body && { "Content-Type": "application/json" },
			body: body && JSON.stringify(body),
			credentials: this.#usesCookies ? "include" : "omit",
			...options
		});
	}
	/** Call an endpoint that ignores access tokens, and return its response after `parse`. Throws AuthError. */
	post(path, body, { parse, signal, timeout = PASSWORD_TIMEOUT } = {}) {
		return this.#call("POST", path, {
			body,
			parse,
			signal,
			timeout
		});
	}
	/** `post`, with retries after temporary failures. A failure with `Retry-After` is thrown. */
	async postRepeatedly(path, body, { parse, signal } = {}) {
		const end = performance.now() + RETRY_PERIOD;
		const attempt = () => this.post(path, body, {
			parse,
			signal,
			timeout: RESPONSE_TIMEOUT
		});
		for (const pause of RETRY_DELAYS) {
			try {
				return await attempt();
			} catch (error) {
				if (!isTemporary(error) || error.retryAfter || performance.now() + pause > end) throw error;
			}
			await abortable(delay(pause), signal);
		}
		return attempt();
	}
	/**
	* `postRepeatedly` with cookies. If the page is closed before the response, the request is repeated once more, and the browser
	* stores the cookies of that response.
	*/
	async postPastClosing(path, options) {
		const repeat = () => this.forward(this.#sign(this.build("POST", path, {}, { keepalive: true }))).catch(() => {});
		globalThis.addEventListener?.("pagehide", repeat);
		try {
			return await this.postRepeatedly(path, {}, options);
		} finally {
			globalThis.removeEventListener?.("pagehide", repeat);
		}
	}
	/** Call an endpoint with the session's access token, and return its response after `parse`. Throws AuthError. */
	callSigned(method, path, session, parse) {
		return this.#call(method, path, {
			session,
			parse,
			timeout: RESPONSE_TIMEOUT
		});
	}
	/** Send a request with the session's access token. Throws AuthError, or the reason of `signal`. */
	send(request, session, signal) {
		return this.forward(this.#sign(request, session), signal);
	}
	/** Send a request as it is. Throws AuthError, or the reason of `signal`. */
	async forward(request, signal) {
		try {
			return await abortable(this.#fetch(request), signal);
		} catch (error) {
			throw signal?.aborted ? signal.reason : networkError(error);
		}
	}
	async #call(method, path, { body, session, parse = parseAny, signal, timeout }) {
		const exchange = async (either) => {
			const options = {
				signal: either,
				redirect: "error"
			};
			const request = this.build(method, path, body, options);
			return readResponse(await this.send(request, session, either), parse, either);
		};
		try {
			return await withTimeout(timeout, signal, exchange);
		} catch (error) {
			if (signal?.aborted) throw signal.reason;
			throw error instanceof AuthError ? error : networkError(error);
		}
	}
	#sign(request, session) {
		if (!this.#usesCookies) {
			if (session) request.headers.set("Authorization", `Bearer ${session.accessToken}`);
			return request;
		}
		const signed = new Request(request, { credentials: "include" });
		if (!SAFE_METHODS.has(request.method)) signed.headers.set("X-CSRFToken", csrfToken());
		return signed;
	}
};
/** Return the service's own CSRF token, or else `csrftoken`, which another Django site of the domain may have set. */
function csrfToken() {
	const cookies = readCookies();
	return (cookies.match(/(?:^|; )__(?:Host|Secure)-csrftoken=([^;]+)/) ?? cookies.match(/(?:^|; )csrftoken=([^;]+)/))?.[1] ?? "";
}
function readCookies() {
	try {
		return globalThis.document?.cookie ?? "";
	} catch {
		return "";
	}
}
// src/second-factor.js
/** Return the challenge in the error of a sign-in whose account has a second factor, or undefined for any other error. */
function challengeOf(error) {
	if (error?.code !== "second_factor_required" || !isText(error.details.authSession)) return void 0;
	const { authSession, expiresIn, factors, passkey } = error.details;
	return Array.isArray(factors) ? {
		authSession,
		expiresIn,
		factors,
		passkey
	} : void 0;
}
/** Return the passkey options in a response: PublicKeyCredentialRequestOptionsJSON. */
const parseOptions = (content) => isObject(content) && isText(content.challenge) ? content : void 0;
// src/auth-client.js
/** Seconds before its expiry at which an access token is renewed; at most a fifth of its lifetime. */
const RENEWAL_MARGIN = 30;
/** Milliseconds to wait for another tab before a sign-in with cookies: longer than any refresh. */
const COOKIE_PATIENCE = 16e3;
/** Milliseconds between checks whether the storage was cleared in this tab, which dispatches no event here. */
const CHECK_INTERVAL = 1e3;
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
	#key;
	#requests;
	#lock;
	#holder;
	#renewal;
	#timer;
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
		this.#key = `auth-client:${this.#base}`;
		this.#storage = openStorage(storage ?? (this.#usesCookies ? () => globalThis.localStorage : null));
		this.#requests = new Requests(this.#base, this.#usesCookies, fetch);
		this.#connect();
		this.#watch();
	}
	/** Stop listening to other tabs. */
	close() {
		globalThis.removeEventListener?.("storage", this.#onStorage);
		clearInterval(this.#timer);
	}
	/** Return the session (user, times and, without cookies, tokens), or null if no user is signed in. */
	session() {
		return this.#holder.look();
	}
	/** Create an account. This does not sign in. */
	async signUp(fields, { signal } = {}) {
		return this.#requests.post("auth/signup", fields, {
			parse: parseSignUp,
			signal
		});
	}
	/**
	* Sign in with {username, password}, where `username` may be an email address, or with {passkey}, the browser's response to
	* `passkeyOptions`. Return the session, or {secondFactor}, a challenge for `completeSignIn`, if the account has a factor.
	*/
	async signIn({ passkey, ...fields }, { signal } = {}) {
		const body = {
			...fields,
			credential: passkey,
			useCookies: this.#usesCookies || void 0
		};
		try {
			return await this.#signInAt(passkey ? "auth/signin/passkey" : "auth/signin", body, signal);
		} catch (error) {
			const secondFactor = challengeOf(error);
			if (!secondFactor) throw error;
			return { secondFactor };
		}
	}
	/** Answer the challenge of a sign-in with {code}, {recoveryCode} or {passkey}. A wrong answer may be repeated. */
	async completeSignIn({ authSession }, answer, { signal } = {}) {
		return this.#signInAt("auth/signin/second-factor", {
			...answer,
			authSession
		}, signal);
	}
	/** Return options to sign in with a passkey alone, as PublicKeyCredentialRequestOptionsJSON. */
	async passkeyOptions({ signal } = {}) {
		return this.#requests.post("auth/signin/passkey/options", void 0, {
			parse: parseOptions,
			signal
		});
	}
	/** With cookies: continue a session that was started elsewhere, as on a sibling subdomain. Return null if there is none. */
	async resume({ signal } = {}) {
		const existing = await abortable(this.session(), signal);
		if (existing || !this.#usesCookies) return existing;
		try {
			return await this.#inTurn(REFRESH_PATIENCE, signal, async () => {
				const tokens = await this.#renewal.exchange();
				return this.#startSession(await this.#renewal.fetchUser(), tokens);
			});
		} catch (error) {
			if (isRefusal(error)) return null;
			throw error;
		}
	}
	/**
	* Sign out in every tab. The service is asked even if the session is not stored any more. Without cookies, the tokens are
	* deleted even if the service cannot be reached.
	*/
	async signOut({ signal } = {}) {
		const session = await abortable(this.session(), signal) ?? this.#holder.lost;
		if (this.#usesCookies) return this.#signOutByCookie(session, signal);
		if (!session) return;
		await this.#holder.end("signed_out", session);
		this.#holder.lost = session;
		await this.#postSignOut({ refreshToken: session.refreshToken }, signal);
		this.#holder.lost = null;
	}
	/** Sign out on all devices. */
	async signOutEverywhere({ signal } = {}) {
		const session = await abortable(this.session(), signal);
		if (!session) return abortable(this.#signOutEverywhereUnstored(), signal);
		await this.#call("POST", "auth/signout-all", void 0, parseNothing, signal);
		await this.#holder.end("signed_out_everywhere", session);
	}
	/** Confirm the password after a 403 `recent_authentication_required`. */
	async reauthenticate(password, options) {
		return this.stepUp({ password }, options);
	}
	/**
	* Confirm {password}, {code}, {recoveryCode} or {passkey} after a 403 `recent_authentication_required`; one of the latter
	* three after a 403 `second_factor_required`.
	*/
	async stepUp(answer, { signal } = {}) {
		const before = await abortable(this.session(), signal);
		const parse = (content) => parseAccess(content, this.#usesCookies);
		const access = await this.#call("POST", "auth/reauthenticate", answer, parse, signal);
		return this.#inTurn(REFRESH_PATIENCE, signal, async () => {
			const session = await this.session();
			if (!session || !isOfSameSignIn(before, session)) throw signedOutError();
			return this.#holder.store({
				...session,
				...access
			}, "refreshed");
		});
	}
	/**
	* Refresh the session, unless it was refreshed since `stale`, the session that a refused request was sent with.
	* Simultaneous calls, in any tab, wait for the same refresh.
	*/
	async refresh(stale, { signal } = {}) {
		const session = stale ?? await abortable(this.session(), signal);
		if (!session) throw signedOutError();
		return abortable(this.#renewal.renew(session), signal);
	}
	/** Call an endpoint below /api/. Return the parsed response, or null if it is empty. */
	async call(method, path, body, { signal } = {}) {
		return this.#call(method, path, body, parseAny, signal);
	}
	/**
	* `fetch` with the session's access token. The token is renewed shortly before it expires, and after a 401, in which
	* case the request is repeated once. Only the service, the page's origin and `origins` receive the token.
	*/
	async fetch(input, init) {
		const address = input instanceof Request ? input : new URL(input, globalThis.document?.baseURI ?? this.#base);
		const request = new Request(address, init);
		const signal = init?.signal ?? (input instanceof Request ? input.signal : void 0);
		if (!this.#origins.has(new URL(request.url).origin)) return this.#requests.forward(request, signal);
		const session = await this.fresh({ signal });
		const response = await this.#requests.send(request.clone(), session, signal);
		if (response.status !== 401 || !session) return response;
		await response.body?.cancel();
		return this.#requests.send(request, await this.refresh(session, { signal }), signal);
	}
	/** Return the session, refreshed if its token is about to expire, for requests that are not sent with `fetch`. */
	async fresh({ signal } = {}) {
		const session = await abortable(this.session(), signal);
		if (!session || secondsLeft(session) > Math.min(RENEWAL_MARGIN, session.expiresIn / 5)) return session;
		try {
			return await this.refresh(session, { signal });
		} catch (error) {
			if (mayPass(error) && secondsLeft(session) > 0) return session;
			throw error;
		}
	}
	async #call(method, path, body, parse, signal) {
		return readResponse(await this.fetch(this.#requests.build(method, path, body, { signal })), parse, signal);
	}
	/** Run a task while no other tab does. */
	#inTurn(patience, signal, task) {
		return this.#lock.run(task, {
			patience,
			signal
		});
	}
	#signInAt(path, body, signal) {
		const parse = (content) => {
			const [user, tokens] = [parseUser(content), parseTokens(content, this.#usesCookies)];
			return user && tokens && {
				user,
				tokens
			};
		};
		const patience = this.#usesCookies ? COOKIE_PATIENCE : REFRESH_PATIENCE;
		return this.#inTurn(patience, signal, async () => {
			const { user, tokens } = await this.#requests.post(path, body, {
				parse,
				signal
			});
			return this.#startSession(user, tokens);
		});
	}
	async #startSession(user, tokens) {
		await this.#renewal.forgetFailure();
		this.#holder.lost = null;
		return this.#holder.store({
			user,
			signedInAt: Date.now(),
			...tokens
		}, "signedin");
	}
	#signOutByCookie(session, signal) {
		return this.#inTurn(REFRESH_PATIENCE, signal, async () => {
			await this.#postSignOut({}, signal).catch((error) => {
				if (error?.status !== 401) throw error;
			});
			if (session) await this.#holder.end("signed_out", session);
		});
	}
	#postSignOut(body, signal) {
		const post = () => this.#requests.postRepeatedly("auth/signout", body, {
			parse: parseNothing,
			signal
		});
		return abortable(waitForRetryAfter(post), signal);
	}
	/** Sign out everywhere although the session is not stored: it is in cookies, or was stored until now. */
	async #signOutEverywhereUnstored() {
		const refreshToken = this.#holder.lost?.refreshToken;
		await this.#inTurn(REFRESH_PATIENCE, void 0, async () => {
			const tokens = await this.#renewal.exchange(refreshToken);
			await this.#requests.callSigned("POST", "auth/signout-all", tokens, parseNothing);
		});
		this.#holder.lost = null;
	}
	#connect() {
		const dispatch = (event, detail) => this.dispatchEvent(new CustomEvent(event, { detail }));
		const [storage, key, requests] = [
			this.#storage,
			this.#key,
			this.#requests
		];
		const holder = new SessionHolder(storage, key, dispatch);
		this.#holder = holder;
		this.#lock = new Lock(key, () => holder.version + this.#renewal.version);
		const usesCookies = this.#usesCookies;
		this.#renewal = new Renewal({
			holder,
			requests,
			lock: this.#lock,
			dispatch,
			usesCookies,
			storage,
			key
		});
	}
	#watch() {
		this.#renewal.finish();
		globalThis.addEventListener?.("storage", this.#onStorage);
		if (!globalThis.document?.visibilityState) return;
		this.#timer = setInterval(() => {
			if (this.#holder.isKnown && document.visibilityState === "visible") this.session();
		}, CHECK_INTERVAL);
		this.#timer.unref?.();
	}
	/** Another tab has changed the shared storage. */
	#onStorage = ({ key, oldValue, storageArea }) => {
		if (storageArea !== this.#storage) return;
		if (key === null || key === this.#key) this.#holder.onChange(oldValue);
		else if (key === `${this.#key}:failure`) this.#renewal.noteFailure();
		else if (key === `${this.#key}:refreshing`) this.#renewal.finish();
	};
};
function secondsLeft({ renewedAt, expiresIn }) {
	return expiresIn - (Date.now() - renewedAt) / 1e3;
}
/** Return whether a failure to refresh leaves the session as it is. */
function mayPass(error) {
	return error instanceof AuthError && error.code !== "signed_out" && !endsSession(error);
}
/** Return whether the service refuses the cookies: there is no session in them. */
function isRefusal(error) {
	return error instanceof AuthError && (endsSession(error) || error.code === "csrf_failed");
}
export { AuthClient, AuthError };
