import { useAuth } from "@authproject/client/react";
import { useEffect, useRef } from "react";
import { Form, Navigate, NavLink, Outlet, ScrollRestoration, useLoaderData, useLocation, useNavigation } from "react-router";

import type { Profile } from "./data";

/** The frame of all pages for signed-in users. */
export function Layout() {
  const profile = useLoaderData<Profile>();
  const { status } = useAuth();
  const { state } = useNavigation();
  const main = useFocusAfterNavigation();

  // Another tab has signed out, or the session was ended on another device.
  if (status === "signedOut") return <Navigate to="/sign-in" replace />;
  return (
    <>
      <a className="skip" href="#main">Skip to the content</a>
      <header>
        <strong className="brand">Notes</strong>
        <nav aria-label="Pages">
          <NavLink to="/" end>My notes</NavLink>
          {profile.roles.includes("ROLE_MODERATOR") && <NavLink to="/moderation">Moderation</NavLink>}
          {profile.roles.includes("ROLE_ADMIN") && <NavLink to="/statistics">Statistics</NavLink>}
          <NavLink to="/sessions">Sessions</NavLink>
          <NavLink to="/profile">{profile.fullname || profile.username}</NavLink>
        </nav>
        <Form method="post" action="/sign-out">
          <button className="quiet">Sign out</button>
        </Form>
      </header>
      {state === "loading" && <div className="progress" role="progressbar" aria-label="Loading" />}
      <main id="main" ref={main} tabIndex={-1}>
        <Outlet />
      </main>
      <ScrollRestoration />
    </>
  );
}

/** Return a ref to an element that gets the focus after each navigation, so that screen readers announce the new page. */
function useFocusAfterNavigation() {
  const { pathname } = useLocation();
  const element = useRef<HTMLElement>(null);
  const shown = useRef(pathname);
  useEffect(() => {
    if (shown.current !== pathname) element.current?.focus();
    shown.current = pathname;
  }, [pathname]);
  return element;
}
