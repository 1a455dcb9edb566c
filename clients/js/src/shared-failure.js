import { AuthError } from "./errors.js";
import { isObject, isText } from "./responses.js";
import { StoredValue } from "./stored-value.js";

/** The last failure of a refresh, known to all tabs that share a storage. */
export class SharedFailure {
  #stored;
  #seen = {};

  constructor(storage, key) {
    this.#stored = new StoredValue(storage, key, (value) => isObject(value) && isText(value.id) && isText(value.code));
  }

  get version() {
    return this.#stored.version;
  }

  async record({ message, code, status, retryAfter, errors, details }) {
    const id = `${Date.now()}-${Math.random()}`;
    const until = Date.now() + (retryAfter ?? 0) * 1000;
    await this.#stored.set({ id, message, code, status, retryAfter, errors, details, until });
    await this.latest();
  }

  async clear() {
    if (await this.#stored.get()) await this.#stored.set(null);
  }

  /**
   * Return the last failure as {id, error, wait}, or null. `wait` is the rest of its `Retry-After` in milliseconds, measured
   * from when this tab learned of it by a clock that cannot be set.
   */
  async latest() {
    const failure = await this.#stored.get();
    if (!failure) return null;
    const { id, message, until } = failure;
    const longest = (failure.retryAfter ?? 0) * 1000;
    if (this.#seen.id !== id) this.#seen = { id, end: performance.now() + clamp(until - Date.now(), longest) };
    return { id, error: new AuthError(message, failure), wait: Math.max(0, this.#seen.end - performance.now()) };
  }
}

function clamp(value, maximum) {
  return Math.min(Math.max(value, 0), maximum);
}
