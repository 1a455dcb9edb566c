// The client of the token service, which keeps the user signed in, and calls to this application's own API.
import { AuthClient, AuthError } from "@authproject/client";

const AUTH_URL: string = import.meta.env.VITE_AUTH_URL ?? "http://localhost:8000";
const API_URL: string = import.meta.env.VITE_API_URL ?? "http://localhost:8001";

/**
 * In `localStorage`, tokens survive a reload and are shared by tabs, but a script that is injected into the page can read them.
 * With `transport: "cookie"` it cannot, but then only the service receives the token, and no API of your own.
 */
export const auth = new AuthClient({ url: AUTH_URL, storage: localStorage, origins: [API_URL] });

/** Call this application's API with the user's access token. Throws AuthError, as `auth.call` does for the service. */
export async function api<Content>(method: string, path: string, body?: unknown): Promise<Content> {
  const session = await auth.session();
  try {
    return await send<Content>(method, path, body);
  } catch (error) {
    if (!session || !(error instanceof AuthError) || error.code !== "role_required") throw error;
    // The role may have been granted after the token was issued. A new token has the roles of now.
    await auth.refresh(session);
    return send<Content>(method, path, body);
  }
}

async function send<Content>(method: string, path: string, body?: unknown): Promise<Content> {
  const response = await auth.fetch(`${API_URL}${path}`, {
    method,
    ...(body !== undefined && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });
  const content = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return content as Content;
  const { message = `The API responded with status ${response.status}.`, code = "unexpected_answer" } = content ?? {};
  throw new AuthError(message, { code, status: response.status });
}
