import { parseJson } from "./responses.js";

/**
 * A JSON value in a storage that may fail: full, blocked, or overwritten by others. No method throws.
 *
 * A value that cannot be stored is remembered, and so is the last value if the storage can no longer be read.
 */
export class StoredValue {
  /** The number of changes so far. */
  version = 0;
  #storage;
  #key;
  #isValid;
  #last = null;
  #writing;
  #isUnstored = false;
  #textInstead;

  constructor(storage, key, isValid) {
    this.#storage = storage;
    this.#key = key;
    this.#isValid = isValid;
  }

  /** Return the value, or null if there is none. */
  async get() {
    await this.#writing;
    const { version } = this;
    const text = await this.#read();
    if (version !== this.version) return this.get();
    if (this.#isUnstored && text === this.#textInstead) return this.#last;
    this.#isUnstored = false;
    const value = text === null ? null : parseJson(text);
    if (text === null || this.#isValid(value)) this.#last = value;
    return this.#last;
  }

  /** Store the value, or remove it if it is null. */
  set(value) {
    this.version += 1;
    this.#last = value;
    this.#writing = this.#store(value);
    return this.#writing;
  }

  async #store(value) {
    const isStored = (await this.#write(value)) || ((await this.#write(null)) && (await this.#write(value)));
    // Until the storage changes, what it has instead is older.
    if (!isStored) this.#textInstead = await this.#read();
    this.#isUnstored = !isStored;
  }

  async #write(value) {
    try {
      if (value === null) await this.#storage.removeItem(this.#key);
      else await this.#storage.setItem(this.#key, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  }

  /** Return the stored text, null if there is none, or undefined if the storage cannot be read. */
  async #read() {
    try {
      return (await this.#storage.getItem(this.#key)) ?? null;
    } catch {
      return undefined;
    }
  }
}

/** Return the storage that `chosen` is or returns. In a sandboxed frame, to name a storage throws: then it is the memory. */
export function openStorage(chosen) {
  try {
    return (typeof chosen === "function" ? chosen() : chosen) ?? memoryStorage();
  } catch {
    return memoryStorage();
  }
}

function memoryStorage() {
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, text) => items.set(key, text),
    removeItem: (key) => items.delete(key),
  };
}
