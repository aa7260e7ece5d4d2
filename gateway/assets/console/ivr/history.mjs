// What was done to a document, to be undone. Pure. States are kept whole: documents share what did not change.

/** Steps that can be undone at most. */
export const STEPS_MAX = 200;
/** Edits of one thing within so many milliseconds are one step. */
export const JOINED_MS = 1500;

export class History {
  #past = [];
  #future = [];
  #now;
  #joined = { what: null, at: 0 };

  /** Begins with a state. */
  constructor(state) {
    this.#now = state;
  }

  get now() {
    return this.#now;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /** What the next undo takes back. */
  get undoes() {
    return this.#past.at(-1)?.label ?? null;
  }

  /** What the next redo does again. */
  get redoes() {
    return this.#future.at(-1)?.label ?? null;
  }

  /** A new state. `label` says what was done; edits with the same `joins` shortly after each other are one step. */
  push(state, label, { joins = null, at = 0 } = {}) {
    const same = joins !== null && joins === this.#joined.what && at - this.#joined.at <= JOINED_MS && this.#past.length > 0;
    if (!same) {
      this.#past.push({ state: this.#now, label });
      if (this.#past.length > STEPS_MAX) this.#past.shift();
    }
    this.#joined = { what: joins, at };
    this.#future = [];
    this.#now = state;
  }

  /** Goes a step back; gives what was undone, or null. */
  undo() {
    const step = this.#past.pop();
    if (!step) return null;
    this.#future.push({ state: this.#now, label: step.label });
    this.#now = step.state;
    this.#joined = { what: null, at: 0 };
    return step.label;
  }

  /** Goes a step forward again; gives what was done again, or null. */
  redo() {
    const step = this.#future.pop();
    if (!step) return null;
    this.#past.push({ state: this.#now, label: step.label });
    this.#now = step.state;
    this.#joined = { what: null, at: 0 };
    return step.label;
  }
}
