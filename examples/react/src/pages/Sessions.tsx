import { Form, useFetcher, useLoaderData } from "react-router";

import type { Session } from "../data";

const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function Sessions() {
  const sessions = useLoaderData<Session[]>();
  return (
    <>
      <title>Sessions – Notes</title>
      <h1>Sessions</h1>
      <p className="lead">The devices on which you are signed in. A device whose session you end must sign in again.</p>
      <ul className="card list">
        {sessions.map((session) => <Device key={session.id} session={session} />)}
      </ul>
      <Form method="post">
        <button className="quiet" name="id" value="all">Sign out everywhere</button>
      </Form>
    </>
  );
}

function Device({ session }: { session: Session }) {
  const fetcher = useFetcher();
  return (
    <li>
      <span>
        {session.device}
        <small>{session.ipAddress}, last used {time.format(new Date(session.lastUsedAt))}</small>
      </span>
      {session.current
        ? <strong>This device</strong>
        : (
          <fetcher.Form method="post">
            <input type="hidden" name="id" value={session.id} />
            <button className="quiet" disabled={fetcher.state !== "idle"} aria-label={`End the session of ${session.device}`}>End</button>
          </fetcher.Form>
        )}
    </li>
  );
}
