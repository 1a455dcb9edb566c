import { useFetcher, useLoaderData } from "react-router";

import type { Note, Refusal } from "../data";
import { FormError } from "../forms";

/** For moderators. The API decides who may see it: the link in the navigation is only hidden. */
export function Moderation() {
  const notes = useLoaderData<Note[]>();
  return (
    <>
      <title>Moderation – Notes</title>
      <h1>Moderation</h1>
      <p className="lead">The notes of all users. Only moderators can see this page and delete notes.</p>
      {notes.length === 0
        ? <p className="empty">There are no notes.</p>
        : <ul className="card list">{notes.map((note) => <ModeratedNote key={note.id} note={note} />)}</ul>}
    </>
  );
}

function ModeratedNote({ note }: { note: Note }) {
  const fetcher = useFetcher<Refusal>();
  return (
    <li>
      <span>{note.text}<small>{note.author}</small></span>
      <fetcher.Form method="post">
        <input type="hidden" name="id" value={note.id} />
        <button className="quiet" disabled={fetcher.state !== "idle"} aria-label={`Delete the note “${note.text}”`}>Delete</button>
      </fetcher.Form>
      <FormError refusal={fetcher.data} />
    </li>
  );
}
