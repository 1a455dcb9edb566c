import { abortable, delay } from "./waiting.js";

/** Milliseconds to hold the lock after writing, because other tabs see changes of localStorage with a delay. */
const STORAGE_SYNC_DELAY = 100;

/**
 * Runs one task at a time, in all tabs (Web Locks). Where there are no Web Locks, one at a time of this client.
 *
 * `countWrites` returns the number of changes to the shared storage by this client.
 */
export class Lock {
  #name;
  #countWrites;
  #queue = Promise.resolve();

  constructor(name, countWrites) {
    this.#name = name;
    this.#countWrites = countWrites;
  }

  /**
   * Run a task and return its result. Tasks of other tabs are waited for up to `patience` milliseconds, because the browser
   * may have suspended their tab; after that, the task runs beside them.
   *
   * Throws the reason of `signal` if it is aborted. A task that has started continues.
   */
  run(task, { patience, signal } = {}) {
    const locks = globalThis.navigator?.locks;
    return abortable(locks ? this.#runLocked(locks, task, patience, signal) : this.#runQueued(task, signal), signal);
  }

  #runQueued(task, signal) {
    const run = this.#queue.then(() => (signal?.aborted ? undefined : task()));
    this.#queue = run.catch(() => {});
    return run;
  }

  #runLocked(locks, task, patience, signal) {
    return new Promise((resolve, reject) => {
      let isStarted = false;
      const waiting = new AbortController();
      const stopWaiting = () => waiting.abort();
      const timer = setTimeout(stopWaiting, patience);
      signal?.addEventListener("abort", stopWaiting, { once: true });
      const start = async () => {
        isStarted = true;
        clearTimeout(timer);
        const writes = this.#countWrites();
        await task().then(resolve, reject);
        if (this.#countWrites() !== writes) await delay(STORAGE_SYNC_DELAY);
      };
      const unlessStarted = (next) => () => (isStarted || signal?.aborted ? undefined : next());
      locks
        .request(this.#name, { signal: waiting.signal }, start)
        .catch(unlessStarted(() => locks.request(this.#name, { steal: true }, start)))
        .catch(unlessStarted(start)); // A sandboxed frame has no locks.
    });
  }
}
