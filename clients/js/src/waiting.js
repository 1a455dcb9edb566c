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
