// Generated from src/ by `npm run build`. Types: factors.d.ts. Usage: README.md.
import { AuthClient as AuthClient$1, AuthError, AuthError as AuthError$1 } from "./auth-client.js";
// src/webauthn.js
const MESSAGES = {
	passkey_canceled: "No passkey was used. Try again, or choose another way.",
	passkey_exists: "This device already has a passkey for this account.",
	passkey_unavailable: "Passkeys cannot be used here."
};
/** Codes by the name of the browser's error. All others mean that the browser or the page cannot use passkeys. */
const CODES = {
	NotAllowedError: "passkey_canceled",
	AbortError: "passkey_canceled",
	InvalidStateError: "passkey_exists"
};
const BUFFERS = [
	"clientDataJSON",
	"attestationObject",
	"authenticatorData",
	"signature",
	"userHandle"
];
/** Return the error `code` of this module. */
function passkeyError(code, cause) {
	return new AuthError$1(MESSAGES[code], {
		code,
		cause
	});
}
/** Create a passkey. Throws AuthError, or the reason of `signal`. */
function createPasskey(options, signal) {
	return ask(signal, async (credentials) => credentials.create({
		publicKey: convert("parseCreationOptionsFromJSON", options),
		signal
	}));
}
/** Use a passkey. `mediation` is "conditional" to offer passkeys in autofill. Throws AuthError, or the reason of `signal`. */
function usePasskey(options, signal, mediation) {
	return ask(signal, async (credentials) => credentials.get({
		publicKey: convert("parseRequestOptionsFromJSON", options),
		signal,
		mediation
	}));
}
async function ask(signal, task) {
	signal.throwIfAborted();
	try {
		return toJson(await task(globalThis.navigator.credentials));
	} catch (error) {
		if (signal.aborted) throw signal.reason;
		throw passkeyError(CODES[error?.name] ?? "passkey_unavailable", error);
	}
}
/** Return options for the browser. Browsers before 2025, such as Safari before 18.4, cannot convert them. */
function convert(method, options) {
	return globalThis.PublicKeyCredential?.[method]?.(options) ?? decodeOptions(options);
}
function decodeOptions({ challenge, user, allowCredentials, excludeCredentials, ...others }) {
	const decodeIds = (list) => list?.map((one) => ({
		...one,
		id: decode(one.id)
	}));
	return {
		...others,
		challenge: decode(challenge),
		...user && { user: {
			...user,
			id: decode(user.id)
		} },
		allowCredentials: decodeIds(allowCredentials) ?? [],
		excludeCredentials: decodeIds(excludeCredentials) ?? []
	};
}
function toJson(credential) {
	try {
		const json = credential.toJSON();
		if (json.response.clientDataJSON) return json;
	} catch {}
	return encodeCredential(credential);
}
function encodeCredential(credential) {
	const { id, rawId, type, authenticatorAttachment, response } = credential;
	const buffers = BUFFERS.filter((name) => response[name]).map((name) => [name, encode(response[name])]);
	return {
		id,
		rawId: encode(rawId),
		type,
		authenticatorAttachment: authenticatorAttachment ?? void 0,
		response: {
			...Object.fromEntries(buffers),
			transports: response.getTransports?.()
		},
		clientExtensionResults: credential.getClientExtensionResults?.() ?? {}
	};
}
function decode(text) {
	const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
	return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
function encode(buffer) {
	const binary = String.fromCharCode(...new Uint8Array(buffer));
	return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
// src/factors.js
/** Milliseconds for which the service accepts a response to passkey options that do not say so. */
const OPTIONS_LIFETIME = 3e5;
/** Share of that time after which options that wait in autofill are replaced. */
const AGE_OF_RENEWAL = .8;
/** `AuthClient` with `factors` and `passkeys`. */
var AuthClient = class extends AuthClient$1 {
	factors = new Factors(this);
	passkeys = new Passkeys(this);
};
/** The second factors of the signed-in user. */
var Factors = class {
	#client;
	constructor(client) {
		this.#client = client;
	}
	/** Return {factors, recoveryCodesLeft}. */
	list({ signal } = {}) {
		return this.#client.call("GET", "auth/factors", void 0, { signal });
	}
	/** Begin to add an authenticator app: return {id, secret, uri, qrCode}. It becomes a factor when it is confirmed. */
	addAuthenticator(name, { signal } = {}) {
		return this.#client.call("POST", "auth/factors/totp", { name }, { signal });
	}
	/** Confirm an authenticator app with its first code. The user's first factor comes with `recoveryCodes`. */
	async confirmAuthenticator(id, code, { signal } = {}) {
		const enrolled = await this.#client.call("POST", "auth/factors/totp/confirm", {
			id,
			code
		}, { signal });
		await renewRoles(this.#client);
		return enrolled;
	}
	rename(id, name, { signal } = {}) {
		return this.#client.call("PATCH", pathOf(id), { name }, { signal });
	}
	/** Remove a factor; with the last one, also the recovery codes. */
	async remove(id, { signal } = {}) {
		await this.#client.call("DELETE", pathOf(id), void 0, { signal });
	}
	/** Replace the recovery codes, and return the new ones. */
	async renewRecoveryCodes({ signal } = {}) {
		return (await this.#client.call("POST", "auth/factors/recovery-codes", void 0, { signal })).recoveryCodes;
	}
};
/** Passkeys in this browser. It waits for one at a time: each call ends the one before. */
var Passkeys = class {
	#client;
	#waiting = new AbortController();
	constructor(client) {
		this.#client = client;
		client.addEventListener("signedin", () => this.#endWaiting());
	}
	/** Return whether the browser has passkeys. */
	get isSupported() {
		return typeof globalThis.PublicKeyCredential === "function";
	}
	/** Return whether the browser offers passkeys in the autofill of an input field. */
	async supportsAutofill() {
		return await globalThis.PublicKeyCredential?.isConditionalMediationAvailable?.() ?? false;
	}
	/** Create a passkey for the signed-in user. The user's first factor comes with `recoveryCodes`. */
	async register(name, { signal } = {}) {
		const options = () => this.#client.call("POST", "auth/factors/passkeys/options", void 0, { signal });
		const credential = await this.#wait(signal, async (ended) => createPasskey(await options(), ended));
		const enrolled = await this.#client.call("POST", "auth/factors/passkeys", {
			credential,
			name
		}, { signal });
		await renewRoles(this.#client);
		return enrolled;
	}
	/**
	* Sign in without a password. With `conditional`, wait until the user chooses a passkey in the autofill of an input field
	* with `autocomplete="username webauthn"`.
	*/
	async signIn({ conditional, signal, ...fields } = {}) {
		const passkey = await this.#wait(signal, conditional ? this.#offer : this.#request);
		return this.#client.signIn({
			...fields,
			passkey
		}, { signal });
	}
	/** Answer the challenge of a sign-in with a passkey. */
	async completeSignIn(challenge, { signal } = {}) {
		if (!challenge.passkey) throw passkeyError("passkey_unavailable");
		const passkey = await this.#wait(signal, (ended) => usePasskey(challenge.passkey, ended));
		return this.#client.completeSignIn(challenge, { passkey }, { signal });
	}
	/** Confirm a passkey after a 403 `second_factor_required` or `recent_authentication_required`. */
	async stepUp({ signal } = {}) {
		const options = () => this.#client.call("POST", "auth/reauthenticate/passkey/options", void 0, { signal });
		const passkey = await this.#wait(signal, async (ended) => usePasskey(await options(), ended));
		return this.#client.stepUp({ passkey }, { signal });
	}
	#request = async (ended) => usePasskey(await this.#client.passkeyOptions({ signal: ended }), ended);
	/** Offer passkeys in autofill. A page may be open for longer than its options are valid. */
	#offer = async (ended) => {
		if (!await this.supportsAutofill()) throw passkeyError("passkey_unavailable");
		for (;;) {
			const options = await this.#client.passkeyOptions({ signal: ended });
			const expired = AbortSignal.timeout((options.timeout ?? OPTIONS_LIFETIME) * AGE_OF_RENEWAL);
			try {
				return await usePasskey(options, AbortSignal.any([ended, expired]), "conditional");
			} catch (error) {
				if (ended.aborted || !expired.aborted) throw error;
			}
		}
	};
	async #wait(signal, task) {
		this.#endWaiting();
		const waiting = new AbortController();
		this.#waiting = waiting;
		return task(AbortSignal.any([waiting.signal, signal].filter(Boolean)));
	}
	#endWaiting() {
		this.#waiting.abort(passkeyError("passkey_canceled"));
	}
};
/** Renew the token after a factor was added: it may have roles that need one. The next request tries again if it fails. */
async function renewRoles(client) {
	await client.refresh().catch(() => {});
}
function pathOf(id) {
	return `auth/factors/${encodeURIComponent(id)}`;
}
export { AuthClient, AuthError };
