import { useLoaderData } from "react-router";

import type { Statistics as Content } from "../data";

/** For administrators. */
export function Statistics() {
  const { notes, authors } = useLoaderData<Content>();
  return (
    <>
      <title>Statistics – Notes</title>
      <h1>Statistics</h1>
      <p className="lead">Only administrators can see them.</p>
      <table className="card">
        <thead><tr><th scope="col">Author</th><th scope="col">Notes</th></tr></thead>
        <tbody>
          {authors.map((row) => <tr key={row.author}><th scope="row">{row.author}</th><td>{row.notes}</td></tr>)}
        </tbody>
        <tfoot><tr><th scope="row">All</th><td>{notes}</td></tr></tfoot>
      </table>
    </>
  );
}
