// The simulator: a call is made up, the gateway says step by step what its caller would meet, and the graph shows the way.
// Keys are typed on a keypad, as on a telephone; when each is pressed follows from where the call listens by then.

import { ask, part } from "./api.mjs";
import { askText, button, el, labelled } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { clock, ended, expectation, nextKeyAt, stepsOf } from "./simulation.mjs";

const TO = /^\+[1-9]\d{1,14}$/;

export class Simulator {
  #editor;
  #ivr;
  #keys = {};
  #found = null;
  #at = null;
  #timer = 0;

  /** `numbers` lead to this IVR; `revisions` are those that may be simulated. */
  constructor({ editor, ivr, mayEdit, told }) {
    this.#editor = editor;
    this.#ivr = ivr;
    this.told = told;
    this.mayEdit = mayEdit;
    this.from = el("input", { type: "tel", placeholder: "anonymous", value: "+12125550199", on: { change: () => this.run() } });
    this.to = el("select", { on: { change: () => this.run() } });
    this.time = el("input", { type: "datetime-local", on: { change: () => this.run() } });
    this.under = el("select", { on: { change: () => this.run() } });
    this.typed = el("div", { class: "sim-typed", "aria-live": "polite" });
    this.steps = el("ol", { class: "sim-steps" });
    this.end = el("p", { class: "sim-end", role: "status" });
    this.save = button("Add as a test…", () => this.#addTest(), { class: "button small", disabled: true });
    const keypad = el("div", { class: "sim-keypad", role: "group", "aria-label": "Keypad" }, ...[..."123456789*0#"].map((key) => button(key, () => this.press(key))));
    this.element = el("section", { class: "sim", "aria-label": "Simulator" },
      el("div", { class: "sim-call" }, labelled("From", this.from), labelled("Called number", this.to), labelled("When", this.time, { says: "Empty is now." }), labelled("Under", this.under)),
      el("div", { class: "sim-phone" }, keypad, this.typed, button("Start again", () => this.restart(), { class: "button small" })),
      el("div", { class: "sim-way" }, this.end, this.steps, this.save));
    this.element.addEventListener("keydown", (event) => {
      const writes = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (!writes && /^[0-9*#]$/.test(event.key) && !event.ctrlKey && !event.altKey && !event.metaKey) {
        this.press(event.key);
        event.preventDefault();
        event.stopPropagation();
      }
    });
    editor.addEventListener("ivr-change", () => this.#later());
  }

  /** What may be chosen: numbers that lead here, and revisions, the newest first. */
  choices({ numbers, revisions }) {
    const any = el("option", { value: "", text: "as if it led here" });
    this.to.replaceChildren(any, ...numbers.map((number) => el("option", { value: number, text: number })));
    this.to.value = numbers[0] ?? "";
    this.under.replaceChildren(el("option", { value: "", text: "the draft, as it stands here" }),
      ...revisions.map((revision, at) => el("option", { value: revision.number, text: `revision ${revision.number}${at === 0 ? ", active" : ""}${revision.note ? ` — ${revision.note}` : ""}` })));
  }

  get #call() {
    const call = { keys: this.#keys };
    if (this.from.value.trim() !== "") call.from = this.from.value.trim();
    if (this.to.value !== "") call.to = this.to.value;
    if (this.time.value !== "") call.at = new Date(this.time.value).toISOString();
    return call;
  }

  #later() {
    if (!this.#found || this.element.hidden) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.run(), 600);
  }

  /** Begins anew, without keys. */
  restart() {
    this.#keys = {};
    this.run();
  }

  /** Presses a key where the call listens next. */
  async press(key) {
    if (!this.#found) await this.run();
    if (!this.#found) return;
    const nodes = this.#editor.document.nodes;
    const kindOf = (visit) => (visit.ivr === this.#ivr ? nodes[visit.node]?.type : undefined);
    this.#keys = { ...this.#keys, [nextKeyAt(this.#found.simulation.path, kindOf, this.#keys)]: key };
    await this.run();
  }

  /** Asks the gateway, and shows what it says. */
  async run() {
    clearTimeout(this.#timer);
    this.#drawKeys();
    if (this.from.value.trim() !== "" && !TO.test(this.from.value.trim())) {
      this.end.textContent = "From is a number such as +12125550199, or empty.";
      return;
    }
    const asked = { call: this.#call };
    const revision = this.under.value === "" ? "" : `?revision=${part(this.under.value)}`;
    if (revision === "") asked.document = this.#editor.document;
    try {
      const { body } = await ask("POST", `ivrs/${part(this.#ivr)}/simulate${revision}`, asked);
      this.#found = body;
      this.#at = null;
      this.#draw();
    } catch (error) {
      this.#found = null;
      this.steps.replaceChildren(...(error.diagnostics ?? []).filter((finding) => finding.severity === "error").map((finding) => el("li", { class: "sim-bad", text: `${finding.path}: ${finding.sentence}` })));
      this.end.textContent = error.message;
      this.save.disabled = true;
      this.#editor.trace = null;
    }
  }

  #drawKeys() {
    const rows = Object.entries(this.#keys).sort((a, b) => Number(a[0]) - Number(b[0]));
    this.typed.replaceChildren(...(rows.length === 0 ? [el("span", { class: "sim-none", text: "No keys yet: type them here." })] : rows.map(([at, key]) =>
      el("button", { type: "button", class: "sim-key", title: "Take this key and later ones back", "aria-label": `Key ${key} at second ${at}; take it and later ones back`, on: { click: () => this.#takeBack(Number(at)) } },
        el("b", { text: key }), el("span", { text: clock(Number(at) * 1000) })))));
  }

  #takeBack(from) {
    this.#keys = Object.fromEntries(Object.entries(this.#keys).filter(([at]) => Number(at) < from));
    this.run();
  }

  #draw() {
    const { simulation } = this.#found;
    this.end.textContent = ended(simulation);
    this.save.disabled = !this.mayEdit;
    this.#trace(null);
    this.steps.replaceChildren(...stepsOf(simulation).map(({ at_ms: at, what, visit }) => {
      const time = el("time", { text: clock(at) });
      if (visit === null) return el("li", {}, time, el("span", { text: what }));
      const { node, by, ivr } = simulation.path[visit];
      const here = ivr === this.#ivr;
      return el("li", { class: "sim-node", data: { visit } }, time, el("button", { type: "button", disabled: !here, on: { click: () => this.#trace(visit) } },
        el("b", { text: node }), by === null ? null : el("span", { text: ` by ${by}` }), here ? null : el("span", { text: ` · ${ivr}` })));
    }));
  }

  /** Shows the way in the graph, up to a step or all of it. */
  #trace(visit) {
    const { path } = this.#found.simulation;
    const own = path.map((each, at) => ({ ...each, at })).filter((each) => each.ivr === this.#ivr);
    const shown = visit === null ? own : own.filter((each) => each.at <= visit);
    this.#at = visit;
    this.#editor.trace = { path: shown, now: visit === null ? null : shown.length - 1 };
    for (const row of this.steps.children) row.classList.toggle("sim-now", visit !== null && row.dataset.visit === String(visit));
  }

  /** Nothing is shown in the graph any more. */
  hide() {
    this.#editor.trace = null;
  }

  #addTest() {
    const { call, simulation } = this.#found;
    const says = "It expects what came of the call now, and runs before every publish.";
    askText("Add this call as a test", { label: "What it shows", value: `${this.#ivr}: ${ended(simulation)}`, word: "Add", says, fault: (name) => (name === "" ? "A test needs a name." : null) }, async (name) => {
      try {
        await ask("PUT", `routing/draft/tests/${part(name)}`, { ...call, expect: expectation(simulation) });
        this.added?.(name);
      } catch (error) {
        this.told(error.message, true);
      }
    });
  }
}

/** The tests that call numbers of this IVR: run, remove. */
export class Tests {
  #ivr;
  #editor;
  #rows = new Map();

  constructor({ editor, ivr, mayEdit, told }) {
    this.#ivr = ivr;
    this.#editor = editor;
    this.mayEdit = mayEdit;
    this.told = told;
    this.list = el("ul", { class: "sim-tests" });
    this.none = el("p", { class: "sim-none", text: "No test calls a number of this IVR. Simulate a call and add it: tests run before every publish." });
    this.element = el("section", { class: "sim-tests-box" }, el("div", { class: "sim-tests-head" }, el("h3", { text: "Tests" }), button("Run all", () => this.runAll(), { class: "button small" })), this.none, this.list);
  }

  /** Shows tests: `[{name, call}]`. */
  show(tests) {
    this.none.hidden = tests.length > 0;
    this.#rows = new Map(tests.map(({ name, call }) => {
      const came = el("span", { class: "sim-came" });
      const row = el("li", {}, el("span", { class: "sim-test-name", text: name }), came,
        button("Run", () => this.#run(name), { class: "button small", "aria-label": `Run ${name}` }),
        this.mayEdit ? el("button", { type: "button", class: "ivr-round", "aria-label": `Remove ${name}`, title: "Remove", on: { click: () => this.#remove(name) } }, icon("remove")) : null);
      return [name, { call, row, came }];
    }));
    this.list.replaceChildren(...[...this.#rows.values()].map(({ row }) => row));
  }

  async runAll() {
    for (const name of this.#rows.keys()) await this.#run(name);
  }

  async #run(name) {
    const { call, came } = this.#rows.get(name);
    try {
      const { body } = await ask("POST", `ivrs/${part(this.#ivr)}/simulate`, { call, document: this.#editor.document, as_linked: true });
      came.className = `sim-came ${body.missed.length === 0 ? "sim-good" : "sim-bad"}`;
      came.textContent = body.missed.length === 0 ? "as expected" : body.missed.join("; ");
    } catch (error) {
      came.className = "sim-came sim-bad";
      came.textContent = error.message;
    }
  }

  async #remove(name) {
    try {
      await ask("DELETE", `routing/draft/tests/${part(name)}`);
      this.#rows.get(name).row.remove();
      this.#rows.delete(name);
      this.none.hidden = this.#rows.size > 0;
      this.told(`The test "${name}" is removed in the draft.`);
    } catch (error) {
      this.told(error.message, true);
    }
  }
}
