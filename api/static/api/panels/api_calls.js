// Requests to the test endpoints.
import { $ } from "../elements.js";

/** Return the panel. */
export function apiCallsPanel({ auth, url, onClick }) {
  onClick("calls", async ({ target }) => {
    if (!target.dataset.path) return;
    const response = await auth.fetch(`${url}api/${target.dataset.path}`);
    const body = await response.text();
    $("answer").textContent = `${response.status}: ${response.ok ? body : JSON.parse(body).message}`;
  });
  return {
    start() {
      $("answer").textContent = "";
    },
  };
}
