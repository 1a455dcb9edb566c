// React 18 and later. Usage: <AuthProvider client={auth}>…</AuthProvider>, and useAuth() in components.
import { createContext, createElement, useContext, useSyncExternalStore } from "react";

import { sessionState } from "./src/session-state.js";

const ClientContext = createContext(null);

/** Provide a client to the components below. Create the client once, outside of components. */
export function AuthProvider({ client, children }) {
  return createElement(ClientContext.Provider, { value: client }, children);
}

/** Return {client, status, user, reason} of the provided client, and render again when they change. */
export function useAuth(client) {
  const provided = useContext(ClientContext);
  const used = client ?? provided;
  if (!used) throw new Error("useAuth needs an AuthProvider above the component, or a client as its argument.");
  const { subscribe, get, getInitial } = sessionState(used);
  return { client: used, ...useSyncExternalStore(subscribe, get, getInitial) };
}
