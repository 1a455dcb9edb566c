import { Form, useActionData, useLoaderData } from "react-router";

import type { Note, Refusal } from "../data";
import { Field, FormError, Submit } from "../forms";

export function Notes() {
  const notes = useLoaderData<Note[]>();
  const refusal = useActionData<Refusal>();
  return (
    <>
      <title>My notes – Notes</title>
      <h1>My notes</h1>
      <p className="lead">Only you and the moderators can see them.</p>
      {/* A new key empties the form after the note was added. */}
      <Form method="post" className="card inline" key={notes[0]?.id}>
        <Field label="New note" name="text" maxLength={200} autoComplete="off" required />
        <Submit>Add</Submit>
        <FormError refusal={refusal} />
      </Form>
      {notes.length === 0
        ? <p className="empty">You have no notes yet.</p>
        : <ul className="card list">{notes.map((note) => <li key={note.id}>{note.text}</li>)}</ul>}
    </>
  );
}
