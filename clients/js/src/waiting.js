// Waits that a signal ends.

export function delay(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

/** Return a promise that settles as `promise` does, or is rejected with the signal's reason as soon as that is aborted. */
export function abortable(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Run a task with a signal that is aborted with `signal`, or with a TimeoutError after `milliseconds`. */
export async function withTimeout(milliseconds, signal, task) {
  // Not AbortSignal.any: Node may collect a signal that only other signals refer to.
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  const expire = () => controller.abort(new DOMException("The response did not arrive in time.", "TimeoutError"));
  const timer = setTimeout(expire, milliseconds);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await abortable(task(controller.signal), controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}
