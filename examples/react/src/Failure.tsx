import { AuthError } from "@authproject/client";
import { Link, useLocation, useNavigate, useRouteError } from "react-router";

/** What is shown in place of a page that could not be loaded. */
export function Failure() {
  const error = useRouteError();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  if (error instanceof AuthError && error.code === "role_required") return <Forbidden />;
  // An error that is no AuthError is one in the application. Send it to your error tracking here.
  if (!(error instanceof AuthError)) console.error(error);
  return (
    <section className="card failure" role="alert">
      <title>That did not work – Notes</title>
      <h1>That did not work</h1>
      <p>{error instanceof AuthError ? error.message : "Something went wrong on our side."}</p>
      <button onClick={() => navigate(pathname, { replace: true })}>Try again</button>
    </section>
  );
}

function Forbidden() {
  return (
    <section className="card failure">
      <title>You may not see this page – Notes</title>
      <h1>You may not see this page</h1>
      <p>It requires a role that you do not have. If you got the role just now, reload the page.</p>
      <Link to="/">Go to your notes</Link>
    </section>
  );
}

export function NotFound() {
  return (
    <section className="card failure">
      <title>Page not found – Notes</title>
      <h1>Page not found</h1>
      <p>There is no page at this address.</p>
      <Link to="/">Go to your notes</Link>
    </section>
  );
}
