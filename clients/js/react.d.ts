import type { ReactElement, ReactNode } from "react";

import type { AuthClient, SessionState } from "./auth-client.js";

/** Provide a client to the components below. Create the client once, outside of components. */
export function AuthProvider(props: { client: AuthClient; children?: ReactNode }): ReactElement;

/**
 * Return the client and the state of its session, and render again when it changes.
 *
 * Without an argument, the client is that of the nearest `AuthProvider`. Throws an Error if there is none.
 */
export function useAuth(client?: AuthClient): { client: AuthClient } & SessionState;
