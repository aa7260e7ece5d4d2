// The form of one node, or of the IVR where none is chosen. Whatever the graph can do, this can do without it.

import { freeKey, nameFault, pointers, ports, startOf } from "./document.mjs";
import { button, el, labelled, present } from "./dom.mjs";
import { fieldControl, newPeriod, ownZone, periodControls } from "./fields.mjs";
import { icon } from "./icons.mjs";

const NEW = "\u0001new"; // no node can be called so

/** A list of nodes to lead to; filled when it is used, for there may be hundreds of them. */
export function targetSelect(doc, { value, optional = false, title, at, pick, fresh = true }) {
  const label = value === "" ? (optional ? "—" : "nowhere yet") : Object.hasOwn(doc.nodes, value) ? value : `${value} — does not exist`;
  const control = el("select", { class: "ivr-target-select", "aria-label": title, data: { at } }, el("option", { value, text: label }));
  let full = false;
  const fill = () => {
    if (full) return;
    full = true;
    const names = Object.keys(doc.nodes).filter((name) => name !== value).sort();
    if (value !== "") control.append(el("option", { value: "", text: optional ? "—" : "nowhere" }));
    if (fresh) control.append(el("option", { value: NEW, text: "a new node…" }));
    control.append(el("optgroup", { label: "Nodes" }, ...names.map((name) => el("option", { value: name, text: name }))));
  };
  control.addEventListener("focus", fill);
  control.addEventListener("pointerdown", fill);
  control.addEventListener("change", () => {
    control.closest(".ivr-pair, .ivr-way")?.classList.toggle("ivr-loose", control.value === "" && !optional);
    pick(control.value === NEW ? null : control.value);
  });
  return control;
}

export class Inspector {
  #does;
  #state = null;

  /** `does`: put, connect, extend, rename, describe, remove, duplicate, select, listen, setIvr, close. */
  constructor(does) {
    this.#does = does;
    this.element = el("aside", { class: "ivr-inspector", "aria-label": "Inspector" });
  }

  /** Shows what is chosen. `typed`: the change came from a control in here, which stays as it is. */
  show(state, { typed = false } = {}) {
    const before = this.#state;
    this.#state = state;
    if (typed && before?.at.id === state.at.id) {
      this.#findings();
      return;
    }
    const held = this.element.contains(document.activeElement) ? document.activeElement : null;
    const place = held?.dataset.at;
    const [from, to] = held && "selectionStart" in held ? [held.selectionStart, held.selectionEnd] : [null, null];
    const scrolled = before?.at.id === state.at.id ? this.element.scrollTop : 0;
    const node = state.doc.nodes[state.at.id];
    this.element.replaceChildren(...present(node ? this.#node(state.at.id, node) : this.#ivr()));
    this.#findings();
    this.element.scrollTop = scrolled;
    if (place === undefined) return;
    const again = this.element.querySelector(`[data-at="${CSS.escape(place)}"]`);
    again?.focus({ preventScroll: true });
    if (again && from !== null && again.selectionStart !== null) again.setSelectionRange(from, to);
  }

  /** Brings the focus into the form. */
  focus() {
    (this.element.querySelector("[data-at=\"field-0\"]") ?? this.element.querySelector("input, select, textarea, button"))?.focus();
  }

  // ---- a node ---------------------------------------------------------------------------------------------------------

  #node(id, node) {
    const { doc, known } = this.#state;
    const kind = known.get(node.type);
    const all = ports(node, kind);
    return [
      el("div", { class: "ivr-inspected", data: { tone: kind?.group ?? "act" } },
        el("span", { class: "ivr-sign" }, icon(node.type)),
        el("div", {}, el("h2", { text: kind?.title ?? node.type }), el("p", { text: kind?.says ?? "This gateway's console does not know this kind of node." })),
        el("button", { type: "button", class: "ivr-round ivr-close", "aria-label": "Close the inspector", title: "Close (Escape)", on: { click: () => this.#does.close() } }, icon("close"))),
      el("div", { class: "ivr-findings", data: { for: "" } }),
      this.#name(id, node),
      ...(kind?.fields ?? []).map((field, place) => this.#field(id, field, place)),
      all.length + (kind?.transitions.length ?? 0) > 0 ? el("section", { class: "ivr-transitions" }, el("h3", { text: "Transitions" }), ...(kind?.transitions ?? []).map((transition) => this.#transition(id, node, transition, all))) : null,
      this.#note(id),
      this.#usedBy(id),
      el("div", { class: "ivr-acts" },
        startOf(doc) === id ? null : button("Begin here", () => this.#does.setIvr({ start: id }, `${id} is the start`), { class: "ivr-quiet" }),
        button("Duplicate", () => this.#does.duplicate([id]), { class: "ivr-quiet" }),
        button("Delete…", () => this.#does.remove([id]), { class: "ivr-quiet ivr-danger" })),
    ];
  }

  #name(id, node) {
    const input = el("input", { type: "text", value: id, maxlength: 64, autocomplete: "off", spellcheck: "false", data: { at: "name" }, on: {
      input: () => input.setCustomValidity(nameFault(this.#state.doc, input.value.trim(), id) ?? ""),
      change: () => {
        const name = input.value.trim();
        if (nameFault(this.#state.doc, name, id)) input.reportValidity();
        else this.#does.rename(id, name);
      },
      keydown: (event) => {
        if (event.key !== "Escape") return;
        input.value = id;
        input.setCustomValidity("");
      },
    } });
    const says = node.type === "exit" ? "The exit is an entry point of this name: a new name gives up its inbox exception." : null;
    return labelled("Name", input, { says });
  }

  #field(id, field, place) {
    const { names } = this.#state;
    // The node as it is by then: several controls may have changed it since this one was drawn.
    const set = (value, typed = false) => {
      const { [field.name]: _, ...rest } = this.#state.doc.nodes[id];
      const next = value === undefined ? rest : { ...rest, [field.name]: value };
      this.#does.put(id, next, `${field.title} of ${id}`, { typed, joins: `${id}/${field.name}` });
    };
    const value = this.#state.doc.nodes[id][field.name] ?? undefined;
    const control = fieldControl(field, value, set, { at: `field-${place}`, names, variables: this.#variables(), listen: this.#does.listen });
    return el("div", { class: "ivr-setting" }, control, el("div", { class: "ivr-findings", data: { for: field.name } }));
  }

  #variables() {
    const found = new Set(["customer_number", "company_number", "entry_point"]);
    for (const [id, node] of Object.entries(this.#state.doc.nodes)) {
      if (["input", "sub_ivr", "position", "estimated_wait"].includes(node.type)) found.add(`node.${id}`);
      if (node.type === "set_variable" && node.name) found.add(node.name);
      for (const name of Object.keys(node.captures ?? {})) found.add(name);
    }
    return [...found];
  }

  #note(id) {
    const area = el("textarea", { rows: 2, data: { at: "note" }, placeholder: "What it is for", on: {
      input: () => this.#does.describe(id, area.value, { typed: true }),
    } });
    area.value = this.#state.doc.descriptions?.[id] ?? "";
    return labelled("Note", area);
  }

  #usedBy(id) {
    const { doc, schema } = this.#state;
    const from = pointers(doc, schema, id);
    if (from.length === 0) return null;
    return el("section", { class: "ivr-from" }, el("h3", { text: "Comes from" }), el("ul", {}, ...from.map(({ from: each, port }) =>
      el("li", {}, button(each, () => this.#does.select(each, port.key), { class: "ivr-link" }), el("span", { text: ` by ${port.title}` })))));
  }

  // ---- transitions ----------------------------------------------------------------------------------------------------

  #transition(id, node, transition, all) {
    const mine = all.filter((port) => port.path[0] === transition.name);
    const makers = { by_key: () => this.#keys(id, node, mine), rows: () => this.#rows(id, node, mine), patterns: () => this.#patterns(id, node, mine), by_calendar_row: () => this.#calendarRows(id, node, mine) };
    const own = makers[transition.form];
    const box = own ? own() : el("div", { class: "ivr-way" }, el("span", { class: "ivr-way-title", text: transition.title }), this.#target(id, mine[0]));
    return el("div", { class: "ivr-setting" }, box,
      transition.says ? el("small", { class: "ivr-says", text: transition.says }) : null,
      el("div", { class: "ivr-findings", data: { for: transition.name } }));
  }

  #target(id, port, title = port.title) {
    const { doc } = this.#state;
    const there = Object.hasOwn(doc.nodes, port.target);
    const loose = !there && !(port.optional && port.target === "");
    const go = el("button", { type: "button", class: "ivr-round", disabled: !there, "aria-label": there ? `Go to ${port.target}` : "Go where it leads", title: "Go there", on: { click: () => this.#does.select(this.#targetOf(id, port.key)) } }, icon("exit"));
    const pick = (target) => {
      if (target === null) {
        this.#does.extend(id, port.key);
        return;
      }
      go.disabled = target === "";
      this.#does.connect(id, port.key, target, { typed: true });
    };
    return el("span", { class: loose ? "ivr-pair ivr-loose" : "ivr-pair" },
      targetSelect(doc, { value: port.target, optional: port.optional, title: `${title} leads to`, at: `to-${port.key}`, pick }),
      go);
  }

  /** Where a port leads by now. */
  #targetOf(id, key) {
    const node = this.#state.doc.nodes[id];
    return ports(node, this.#state.known.get(node.type)).find((port) => port.key === key)?.target ?? id;
  }

  #put(id, change, label, typed = false, joins = null) {
    this.#does.put(id, change(this.#state.doc.nodes[id]), label, { typed, joins });
  }

  #keys(id, node, mine) {
    const used = node.choices ?? {};
    const rows = mine.map((port) => {
      const options = [..."1234567890*#", ...("1234567890*#".includes(port.by) ? [] : [port.by])].filter((key) => key === port.by || !(key in used));
      const key = el("select", { class: "ivr-key", "aria-label": `Key ${port.by}`, data: { at: `key-${port.by}` }, on: {
        change: () => this.#put(id, (now) => {
          const { [port.by]: target, ...rest } = now.choices;
          return { ...now, choices: { ...rest, [key.value]: target } };
        }, `key ${port.by} of ${id} is ${key.value}`),
      } }, ...options.map((each) => el("option", { value: each, text: each })));
      key.value = port.by;
      return el("div", { class: "ivr-way" }, key, this.#target(id, port, `Key ${port.by}`), this.#away(`key ${port.by}`, () => this.#put(id, (now) => {
        const { [port.by]: _, ...rest } = now.choices;
        return { ...now, choices: rest };
      }, `removed key ${port.by} of ${id}`)));
    });
    const free = freeKey(used);
    return el("div", {}, ...rows, button("Add a key", () => this.#put(id, (now) => ({ ...now, choices: { ...now.choices, [free]: "" } }), `added key ${free} to ${id}`), { class: "ivr-quiet", disabled: free === null, data: { at: "add-key" } }));
  }

  #away(what, act) {
    return el("button", { type: "button", class: "ivr-round", "aria-label": `Remove ${what}`, title: "Remove", on: { click: act } }, icon("close"));
  }

  /** Rows of a list that can be added, removed and moved; `body` makes what stands in one. */
  #list(id, name, { mine, body, fresh, word }) {
    const rows = this.#state.doc.nodes[id][name] ?? [];
    const change = (label, edit) => this.#put(id, (now) => {
      const next = [...(now[name] ?? [])];
      edit(next);
      return { ...now, [name]: next };
    }, label);
    const swap = (a, b) => change(`moved ${word} ${a + 1} of ${id}`, (next) => { [next[a], next[b]] = [next[b], next[a]]; });
    const items = rows.map((row, at) => el("div", { class: "ivr-item" },
      el("div", { class: "ivr-way" }, body.head(row, at), this.#target(id, mine[at], `${word} ${at + 1}`),
        el("button", { type: "button", class: "ivr-round", disabled: at === 0, "aria-label": `Move ${word} ${at + 1} up`, data: { at: `${name}-up-${at}` }, on: { click: () => swap(at, at - 1) } }, icon("up")),
        this.#away(`${word} ${at + 1}`, () => change(`removed ${word} ${at + 1} of ${id}`, (next) => next.splice(at, 1)))),
      body.rest?.(row, at)));
    return el("div", {}, ...items, button(`Add a ${word}`, () => change(`added a ${word} to ${id}`, (next) => next.push(fresh(next))), { class: "ivr-quiet", data: { at: `${name}-add` } }));
  }

  #editRow(id, name, at, row, label, typed) {
    this.#put(id, (now) => ({ ...now, [name]: now[name].map((each, place) => (place === at ? { ...each, ...row } : each)) }), label, typed, typed ? `${id}/${name}/${at}` : null);
  }

  #rows(id, node, mine) {
    const head = (row) => el("span", { class: "ivr-way-title", text: row.when?.name || "(no name)" });
    const rest = (row, at) => {
      const now = () => this.#state.doc.nodes[id].rows[at].when ?? {};
      const put = (when, typed) => this.#editRow(id, "rows", at, { when }, `row ${when.name} of ${id}`, typed);
      return el("details", { class: "ivr-when", open: mine.length === 1 }, el("summary", { text: "When" }), periodControls(now, put, `rows-${at}`));
    };
    return this.#list(id, "rows", { mine, word: "row", body: { head, rest }, fresh: (all) => ({ when: newPeriod(`row ${all.length + 1}`, all.at(-1)?.when?.zone ?? ownZone()), next: "" }) });
  }

  #patterns(id, node, mine) {
    const head = (row, at) => el("input", { type: "text", value: row.pattern, "aria-label": `Pattern ${at + 1}`, spellcheck: "false", data: { at: `pattern-${at}` }, on: {
      input: (event) => this.#editRow(id, "patterns", at, { pattern: event.target.value }, `pattern ${at + 1} of ${id}`, true),
    } });
    return this.#list(id, "patterns", { mine, word: "pattern", body: { head }, fresh: () => ({ pattern: "", next: "" }) });
  }

  #calendarRows(id, node, mine) {
    const { names, doc } = this.#state;
    if (!node.calendar && mine.length === 0) return el("div");
    const calendar = names.calendars?.find((each) => each.name === node.calendar);
    const missing = (calendar?.rows ?? []).filter((row) => !(row in (node.calendar_rows ?? {})));
    const lead = (row, target) => this.#put(id, (now) => ({ ...now, calendar_rows: { ...now.calendar_rows, [row]: target } }), `row ${row} of ${id}`);
    return el("div", {},
      ...mine.map((port) => el("div", { class: "ivr-way" }, el("span", { class: "ivr-way-title", text: port.title }), this.#target(id, port), this.#away(`row ${port.title}`, () => this.#put(id, (now) => {
        const { [port.by]: _, ...rest } = now.calendar_rows;
        return { ...now, calendar_rows: rest };
      }, `removed row ${port.title} of ${id}`)))),
      ...missing.map((row) => el("div", { class: "ivr-way" }, el("span", { class: "ivr-way-title", text: row }),
        targetSelect(doc, { value: "", title: `${row} leads to`, at: `calendar-${row}`, fresh: false, pick: (target) => lead(row, target) }))));
  }

  // ---- the IVR --------------------------------------------------------------------------------------------------------

  #ivr() {
    const { doc } = this.#state;
    const name = el("input", { type: "text", value: doc.name ?? "", data: { at: "ivr-name" }, on: { input: () => this.#does.setIvr({ name: name.value }, "the IVR's name", { typed: true }) } });
    const kind = el("select", { data: { at: "ivr-kind" }, on: { change: () => this.#does.setIvr({ kind: kind.value }, "the IVR's kind") } },
      el("option", { value: "initial", text: "Initial IVR: as the call arrives" }), el("option", { value: "queue", text: "Queue IVR: while the caller waits" }));
    kind.value = doc.kind;
    const start = targetSelect(doc, { value: startOf(doc), title: "Begins with", at: "ivr-start", fresh: false, pick: (id) => this.#does.setIvr({ start: id }, `${id} is the start`) });
    const count = Object.keys(doc.nodes).length;
    return [
      el("div", { class: "ivr-inspected" }, el("div", {}, el("h2", { text: "This IVR" }), el("p", { text: `${count} node${count === 1 ? "" : "s"}. Choose one to see its settings.` })),
        el("button", { type: "button", class: "ivr-round ivr-close", "aria-label": "Close the inspector", title: "Close (Escape)", on: { click: () => this.#does.close() } }, icon("close"))),
      el("div", { class: "ivr-findings", data: { for: "" } }),
      labelled("Name", name), labelled("Kind", kind), labelled("Begins with", start),
    ];
  }

  // ---- findings -------------------------------------------------------------------------------------------------------

  #findings() {
    const { at, findings, rest } = this.#state;
    const here = at.id === null || !this.#state.doc.nodes[at.id];
    const all = here ? rest.filter((finding) => finding.here) : findings.get(at.id) ?? [];
    const boxes = new Map([...this.element.querySelectorAll(".ivr-findings")].map((box) => [box.dataset.for, box]));
    const sorted = new Map();
    for (const finding of all) {
      const place = boxes.has(finding.at?.[0]) ? finding.at[0] : "";
      sorted.set(place, [...(sorted.get(place) ?? []), finding]);
    }
    for (const [place, box] of boxes) {
      box.replaceChildren(...(sorted.get(place) ?? []).map((finding) => el("p", { class: finding.severity === "error" ? "ivr-finding ivr-bad" : "ivr-finding ivr-warn", title: finding.code },
        icon(finding.severity === "error" ? "error" : "warning"), el("span", { text: `${finding.sentence}. ${finding.remedy ?? ""}` }))));
    }
  }
}
