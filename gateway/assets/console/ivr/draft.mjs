// An IVR in the shared draft: read, written only over what was read, and told when somebody else was faster. The draft
// has one version for all its objects, so a refusal may be about another object: then it is written again.

import { ask, part } from "./api.mjs";
import { same } from "./compare.mjs";

const WAIT_MS = 900;
const ATTEMPTS_MAX = 4;

export class Draft {
  #path;
  #tag = null;
  #kept = null; // as the gateway has it
  #wanted = null;
  #timer = 0;
  #under = null;

  /** `state(word, error)` is told what becomes of it: `saved`, `waits`, `saving`, `failed`, `conflict`. */
  constructor(ivr, state) {
    this.#path = `routing/draft/ivrs/${part(ivr)}`;
    this.state = state;
  }

  /** The draft's version as it was read last. */
  get tag() {
    return this.#tag;
  }

  /** Reads the IVR. */
  async read() {
    const { body, tag } = await ask("GET", this.#path);
    this.#kept = body;
    this.#tag = tag;
    this.#wanted = body;
    return body;
  }

  /** Whether everything is kept. */
  get isSaved() {
    return same(this.#wanted, this.#kept);
  }

  /** Writes a document a moment from now; later ones take its place. */
  want(doc) {
    this.#wanted = doc;
    clearTimeout(this.#timer);
    if (this.isSaved) {
      this.state("saved");
      return;
    }
    this.state("waits");
    this.#timer = setTimeout(() => this.save(), WAIT_MS);
  }

  /** Writes what is not written yet. Gives whether all is kept. */
  async save() {
    clearTimeout(this.#timer);
    while (this.#under) await this.#under;
    if (this.isSaved) return true;
    this.#under = this.#write(this.#wanted).finally(() => { this.#under = null; });
    const good = await this.#under;
    return good && (this.isSaved || this.save());
  }

  async #write(doc) {
    this.state("saving");
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      try {
        const { tag } = await ask("PUT", this.#path, doc, { tag: this.#tag });
        this.#tag = tag;
        this.#kept = doc;
        this.state("saved");
        return true;
      } catch (error) {
        if (error.status !== 412) {
          this.state("failed", error);
          return false;
        }
        const theirs = await ask("GET", this.#path).catch(() => null);
        if (!theirs || !same(theirs.body, this.#kept)) {
          this.#tag = theirs?.tag ?? null;
          this.state("conflict", Object.assign(error, { theirs: theirs?.body ?? null }));
          return false;
        }
        this.#tag = theirs.tag; // Another object was changed.
      }
    }
    this.state("failed", new Error("The draft is changed by others all the time; try again in a moment."));
    return false;
  }

  /** After a conflict: what they have written is what is there; `mine` is written over it, or given up. */
  settle(theirs) {
    this.#kept = theirs;
  }
}
