// <ivr-editor>: takes an IVR document and gives one back. It stores no places, asks no server, and knows nothing of
// drafts: the page around it does.
//
//   editor.schema = …      what /api/v1/routing/nodes says
//   editor.names = …       what nodes may refer to: prompts, inboxes, lists, calendars, ivrs
//   editor.ivr = "ivr_main"; editor.document = …;
//   editor.findings = …    what the gateway says about it
//   editor.trace = …       a simulated way to show, or null
//
// Events: `ivr-change` (detail.document), `ivr-listen` (detail.prompt), `ivr-save`, `ivr-select` (detail.id).

import * as documents from "./document.mjs";
import { askText, button, dialog, el } from "./dom.mjs";
import { zoneList } from "./fields.mjs";
import { Graph } from "./graph.mjs";
import { History } from "./history.mjs";
import { icon } from "./icons.mjs";
import { Inspector } from "./inspector.mjs";
import { actOf, showKeys } from "./keys.mjs";
import { choose } from "./palette.mjs";
import { Table } from "./table.mjs";

const NARROW = "(max-width: 760px)";

export class IvrEditor extends HTMLElement {
  #schema = { groups: [], kinds: [] };
  #known = new Map();
  #names = {};
  #ivr = "";
  #history = null;
  #findings = { byNode: new Map(), rest: [] };
  #told = [];
  #at = { id: null, port: null };
  #marked = new Set();
  #trail = []; // nodes by which the arrows came
  #trace = null;
  #view = "graph";
  #fitted = false;

  connectedCallback() {
    if (this.graph) return;
    const does = {
      select: (id, port, more) => this.#select(id, { port, more }), focused: (id) => this.#focused(id), open: (id) => this.#open(id),
      connect: (id, port, target, how) => this.#connect(id, port, target, how), extend: (id, port) => this.#add({ from: id, port }),
      add: (id) => this.#add({ from: id, port: null }), remove: (ids) => this.#remove(ids), duplicate: (ids) => this.#duplicate(ids),
      rename: (from, to) => this.#rename(from, to), listen: (prompt) => this.#tell("ivr-listen", { prompt }), close: () => this.#leave(),
      put: (id, node, label, how) => this.#change(documents.putNode(this.document, id, node), label, how),
      describe: (id, text, how) => this.#change(documents.describe(this.document, id, text), `note of ${id}`, { ...how, joins: `${id}/note` }),
      setIvr: (fields, label, how = {}) => this.#change({ ...this.document, ...fields }, label, { ...how, joins: how.typed ? label : null }),
    };
    this.graph = new Graph(does);
    this.table = new Table(does);
    this.inspector = new Inspector(does);
    this.live = el("div", { class: "ivr-live", role: "status", "aria-live": "polite" });
    this.table.element.hidden = true;
    this.main = el("div", { class: "ivr-main" }, this.graph.element, this.table.element, this.inspector.element);
    this.append(this.#toolbar(), this.main, this.live, zoneList());
    this.table.body.addEventListener("focusout", (event) => event.target.tagName === "SELECT" && !this.table.body.contains(event.relatedTarget) && setTimeout(() => this.#draw({ typed: true })));
    this.graph.element.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("keydown", (event) => this.#anyKey(event));
    this.addEventListener("copy", (event) => this.#copy(event, false));
    this.addEventListener("cut", (event) => this.#copy(event, true));
    document.addEventListener("paste", (event) => this.#paste(event));
    if (matchMedia(NARROW).matches) this.#show("table");
    new ResizeObserver(() => this.#firstFit()).observe(this.graph.element);
    this.#draw();
  }

  // ---- what the page sets -------------------------------------------------------------------------------------------

  set schema(schema) {
    this.#schema = schema;
    this.#known = documents.kinds(schema);
    this.#draw();
  }

  set names(names) {
    this.#names = names;
    this.#draw();
  }

  set ivr(id) {
    this.#ivr = id;
  }

  get document() {
    return this.#history?.now.doc ?? null;
  }

  /** Another document; what was done before cannot be undone any more. */
  set document(doc) {
    this.#history = new History({ doc, at: null });
    this.#at = { id: null, port: null };
    this.#marked.clear();
    this.#trail = [];
    this.#fitted = false;
    const start = documents.startOf(doc);
    if (Object.hasOwn(doc.nodes, start)) this.#place(start);
    this.#draw();
    this.#firstFit();
  }

  /** Another form of the same document, such as an older version: one step that can be undone. */
  replace(doc, label) {
    this.#change(doc, label);
  }

  set findings(findings) {
    this.#told = findings;
    this.#draw({ typed: true });
  }

  /** A simulated way: `{path: [{node, by}], now}`, where `now` is the place of the step that is shown; or null. */
  set trace(trace) {
    this.#trace = trace && this.#traced(trace.path, trace.now ?? null);
    this.#draw({ typed: true });
    if (this.#trace?.now) this.graph.reveal(this.#trace.now);
  }

  /** Chooses a node, as a click would. */
  select(id) {
    if (Object.hasOwn(this.document.nodes, id)) this.#select(id);
  }

  // ---- drawing --------------------------------------------------------------------------------------------------------

  #draw({ typed = false } = {}) {
    if (!this.graph || !this.#history || this.#known.size === 0) return;
    const { doc } = this.#history.now;
    this.#findings = documents.sortFindings(this.#everyFinding(doc), this.#ivr);
    const state = {
      doc, schema: this.#schema, known: this.#known, names: this.#names, at: this.#at, marked: this.#marked, trace: this.#trace,
      findings: this.#findings.byNode, rest: this.#findings.rest,
    };
    this.graph.draw(state);
    // Whoever chooses by the first letters of a name goes on typing: the table waits until the list is left.
    const held = this.table.body.contains(document.activeElement) && document.activeElement.tagName === "SELECT";
    if (this.#view === "table" && !held) this.table.show({ ...state, order: this.graph.order() });
    this.inspector.show(state, { typed });
    this.#drawBar();
  }

  /** What the gateway says, and what can be seen without it until it has said so. */
  #everyFinding(doc) {
    const escape = (text) => text.replaceAll("~", "~0").replaceAll("/", "~1");
    const loose = documents.dangling(doc, this.#schema);
    const own = loose.map(({ id, port }) => ({
      code: "R-1201", severity: "error", path: `/ivrs/${escape(this.#ivr)}/nodes/${escape(id)}/${port.path.map((step) => escape(String(step))).join("/")}`,
      sentence: port.target === "" ? `${port.title} leads nowhere` : `${port.title} leads to ${port.target}, which does not exist`,
      remedy: "Lead it to a node.",
    }));
    const start = documents.startOf(doc);
    if (!Object.hasOwn(doc.nodes, start)) {
      own.push({ code: "R-1201", severity: "error", path: `/ivrs/${escape(this.#ivr)}`, sentence: `The IVR begins with ${start || "nothing"}, which does not exist`, remedy: "Name another node as its start." });
    }
    // What the gateway said of the same is left out: it would stay a moment longer than it holds.
    const here = `/ivrs/${escape(this.#ivr)}/nodes/`;
    const nodes = new Set(Object.keys(doc.nodes).map(escape));
    const stands = ({ code, path }) => !path.startsWith(here) || (code !== "R-1201" && nodes.has(path.slice(here.length).split("/")[0]));
    return [...own, ...this.#told.filter(stands)];
  }

  #toolbar() {
    const sign = (name, title, act, key = "") => el("button", { type: "button", class: "ivr-tool", title: key ? `${title} (${key})` : title, "aria-label": title, on: { click: act } }, icon(name));
    this.bar = {
      graph: button("Graph", () => this.#show("graph"), { "aria-pressed": "true" }),
      table: button("Table", () => this.#show("table"), { "aria-pressed": "false" }),
      undo: sign("undo", "Undo", () => this.#undo(), "Z"),
      redo: sign("redo", "Redo", () => this.#redo(), "Shift + Z"),
      told: el("button", { type: "button", class: "ivr-told", title: "To the next finding (E)", on: { click: () => this.#nextFinding() } }),
    };
    this.views = [
      sign("farther", "Farther", () => this.graph.zoomBy(1 / 1.25), "−"), sign("closer", "Closer", () => this.graph.zoomBy(1.25), "+"), sign("fit", "Show all", () => this.graph.fit(), "F"),
    ];
    const add = el("button", { type: "button", class: "ivr-add", title: "Add a node behind the chosen one (A)", on: { click: () => this.#add({ from: this.#at.id, port: this.#at.port }) } }, icon("add"), el("span", { text: "Add node" }));
    return el("div", { class: "ivr-bar", role: "toolbar", "aria-label": "IVR editor" },
      el("div", { class: "ivr-switch", role: "group", "aria-label": "View" }, this.bar.graph, this.bar.table),
      add, this.bar.undo, this.bar.redo, sign("find", "Find a node", () => this.#find(), "/"), ...this.views,
      el("span", { class: "ivr-space" }), this.bar.told, sign("help", "Keys", () => showKeys(document.activeElement), "?"));
  }

  #drawBar() {
    const all = [...this.#findings.byNode.values()].flat().concat(this.#findings.rest.filter((finding) => finding.here));
    const errors = all.filter((finding) => finding.severity === "error").length;
    const warnings = all.length - errors;
    const words = [errors > 0 ? `${errors} error${errors === 1 ? "" : "s"}` : null, warnings > 0 ? `${warnings} warning${warnings === 1 ? "" : "s"}` : null].filter(Boolean);
    const { undo, redo, told } = this.bar;
    told.replaceChildren(all.length > 0 ? icon(errors > 0 ? "error" : "warning") : "", el("span", { text: words.join(", ") || "No findings" }));
    told.className = `ivr-told ${errors > 0 ? "ivr-bad" : warnings > 0 ? "ivr-warn" : "ivr-good"}`;
    told.disabled = all.length === 0;
    undo.disabled = !this.#history.canUndo;
    redo.disabled = !this.#history.canRedo;
    undo.title = this.#history.canUndo ? `Undo: ${this.#history.undoes} (Z)` : "Nothing to undo";
    redo.title = this.#history.canRedo ? `Redo: ${this.#history.redoes} (Shift + Z)` : "Nothing to redo";
  }

  #show(view) {
    if (view === this.#view) return;
    this.#view = view;
    this.graph.element.hidden = view !== "graph";
    this.table.element.hidden = view !== "table";
    for (const each of this.views) each.hidden = view !== "graph";
    this.classList.toggle("ivr-as-table", view === "table");
    this.bar.graph.setAttribute("aria-pressed", String(view === "graph"));
    this.bar.table.setAttribute("aria-pressed", String(view === "table"));
    this.#draw();
    if (view === "table") this.table.element.querySelector(`tr[data-id="${CSS.escape(this.#at.id ?? "")}"] button`)?.focus();
    else this.#focusCard();
    this.#say(view === "table" ? "Table" : "Graph");
  }

  #firstFit() {
    if (this.#fitted || !this.document || this.graph.element.clientWidth === 0) return;
    this.#fitted = true;
    this.graph.fit({ smooth: false, readable: true });
  }

  #say(text) {
    this.live.textContent = "";
    // The same words again are told again.
    requestAnimationFrame(() => { this.live.textContent = text; });
  }

  #tell(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  }

  #traced(path, now) {
    const steps = new Map();
    const lines = new Set();
    path.forEach(({ node, by }, at) => {
      steps.set(node, steps.has(node) ? `${steps.get(node)}, ${at + 1}` : String(at + 1));
      const before = path[at - 1]?.node;
      if (before === undefined || !Object.hasOwn(this.document.nodes, before)) return;
      const ways = this.#ports(before).filter((port) => port.target === node);
      const way = ways.find((port) => port.by === by) ?? ways[0];
      if (way) lines.add(`${before}\0\0${way.key}`);
    });
    return { steps, lines, now: now === null ? null : path[now]?.node ?? null };
  }

  // ---- the chosen node ------------------------------------------------------------------------------------------------

  #ports(id) {
    const node = this.document.nodes[id];
    return node ? documents.ports(node, this.#known.get(node.type)) : [];
  }

  /** The port that acts on transitions mean: the chosen one, else the first. */
  #port() {
    const all = this.#ports(this.#at.id);
    return all.find((port) => port.key === this.#at.port) ?? all[0] ?? null;
  }

  #place(id, port = null) {
    const all = this.#ports(id);
    const kept = all.find((each) => each.key === port) ?? all.find((each) => Object.hasOwn(this.document.nodes, each.target)) ?? all[0];
    this.#at = { id, port: kept?.key ?? null };
  }

  #select(id, { port = null, more = false, focus = true } = {}) {
    const before = this.#at;
    this.#place(id, port ?? (before.id === id ? before.port : null));
    if (more) {
      if (before.id && this.#marked.size === 0 && before.id !== id) this.#marked.add(before.id);
      if (!this.#marked.delete(id)) this.#marked.add(id);
    } else {
      this.#marked.clear();
    }
    if (before.id !== id) this.#trail.push(before.id);
    if (this.#trail.length > 100) this.#trail.shift();
    this.#draw();
    if (this.#view === "graph" && focus) this.#focusCard();
    this.#tell("ivr-select", { id });
  }

  #focused(id) {
    if (this.#at.id !== id) this.#select(id, { focus: false });
  }

  #focusCard() {
    const card = this.graph.cards.get(this.#at.id);
    card?.element.focus({ preventScroll: true });
    this.graph.reveal(this.#at.id);
    // A page scrolls what it focuses; the plane has its own place.
    this.graph.element.scrollTop = 0;
    this.graph.element.scrollLeft = 0;
  }

  #open(id) {
    if (id !== this.#at.id) this.#select(id, { focus: false });
    this.classList.add("ivr-inspecting");
    this.inspector.focus();
  }

  #leave() {
    this.classList.remove("ivr-inspecting");
    if (this.#view === "graph") this.#focusCard();
    else this.table.element.querySelector(`[data-at="${CSS.escape(`${this.#at.id}/edit`)}"]`)?.focus();
  }

  // ---- changes --------------------------------------------------------------------------------------------------------

  #change(doc, label, { typed = false, joins = null, at = undefined } = {}) {
    this.#history.push({ doc, at: this.#at.id }, label, { joins, at: Date.now() });
    if (at !== undefined) this.#place(at);
    this.#changed({ typed });
  }

  #changed({ typed = false } = {}) {
    const { nodes } = this.document;
    if (this.#at.id !== null && !Object.hasOwn(nodes, this.#at.id)) this.#at = { id: null, port: null };
    for (const id of this.#marked) if (!Object.hasOwn(nodes, id)) this.#marked.delete(id);
    if (this.#trace) this.#trace = null;
    this.#draw({ typed });
    this.#tell("ivr-change", { document: this.document });
  }

  #undo() {
    const before = this.#history.now.at;
    const label = this.#history.undo();
    this.#jumped(label, "Undone", before);
  }

  #redo() {
    const label = this.#history.redo();
    this.#jumped(label, "Done again", this.#history.now.at);
  }

  #jumped(label, word, at) {
    if (label === null) {
      this.#say(`Nothing to ${word === "Undone" ? "undo" : "redo"}`);
      return;
    }
    const inside = this.inspector.element.contains(document.activeElement);
    // Where it was done; where that is gone with it, as near as can be: the focus must stay for the next undo.
    const { doc, at: then } = this.#history.now;
    const place = [at, then, this.#at.id, documents.startOf(doc), Object.keys(doc.nodes)[0]].find((id) => id && Object.hasOwn(doc.nodes, id));
    if (place) this.#place(place);
    this.#changed();
    if (this.#view === "graph" && !inside) this.#focusCard();
    this.#say(`${word}: ${label}`);
  }

  #connect(id, key, target, how = {}) {
    const port = this.#ports(id).find((each) => each.key === key);
    if (!port || port.target === target) return;
    this.#change(documents.connect(this.document, id, port, target), target === "" ? `disconnected ${port.title} of ${id}` : `${port.title} of ${id} leads to ${target}`, { ...how, joins: `${id}/${key}` });
    this.#say(target === "" ? `${port.title} of ${id} leads nowhere` : `${port.title} of ${id} leads to ${target}`);
  }

  #kindOptions() {
    const queue = this.document.kind === "queue";
    const titles = new Map(this.#schema.groups.map((group) => [group.name, group.title]));
    const order = this.#schema.groups.map((group) => group.name);
    return this.#schema.kinds
      .filter((kind) => kind.type !== "start" && (queue || !kind.queue_only))
      .sort((a, b) => order.indexOf(a.group) - order.indexOf(b.group))
      .map((kind) => ({ value: { add: kind.type }, title: kind.title, says: kind.says, icon: kind.type, tone: kind.group, group: titles.get(kind.group) }));
  }

  #nodeOptions() {
    return this.graph.order().map((id) => {
      const node = this.document.nodes[id];
      const kind = this.#known.get(node.type);
      return { value: { to: id }, title: id, says: kind?.title ?? node.type, icon: node.type, tone: kind?.group, group: "Nodes" };
    });
  }

  /** Asks for a kind, and adds a node of it behind a port; behind nothing where there is none. */
  #add({ from, port: key }) {
    const all = from === null ? [] : this.#ports(from);
    const port = all.find((each) => each.key === key) ?? (from === this.#at.id ? this.#port() : all[0]) ?? null;
    const title = port ? `Add a node behind ${port.title} of ${from}` : "Add a node";
    choose(title, this.#kindOptions(), ({ add }) => this.#added(add, port && { from, at: port }), { hint: "Search kinds of nodes", back: this.#back() });
  }

  #added(type, after) {
    const { doc, id } = documents.addNode(this.document, this.#schema, type, after);
    this.#change(doc, `added ${id}`, { at: id });
    this.#marked.clear();
    this.#open(id);
    this.graph.reveal(id);
    this.#say(`Added ${id}. Its settings are open.`);
  }

  #back() {
    return this.#view === "graph" ? this.graph.cards.get(this.#at.id)?.element ?? this.graph.element : document.activeElement;
  }

  #ask() {
    const port = this.#port();
    if (!port) {
      this.#say("This node has no transitions");
      return;
    }
    const { id } = this.#at;
    choose(`${port.title} of ${id} leads to`, [...this.#nodeOptions(), ...this.#kindOptions().map((each) => ({ ...each, title: `New: ${each.title}`, group: "A new node" }))], ({ to, add }) => {
      if (add) this.#added(add, { from: id, at: port });
      else {
        this.#connect(id, port.key, to);
        this.#focusCard();
      }
    }, { hint: "Search nodes", back: this.#back() });
  }

  #find() {
    choose("Find a node", this.#nodeOptions(), ({ to }) => {
      this.#select(to);
      this.graph.reveal(to, { middle: true });
      if (this.#view === "table") this.table.element.querySelector(`[data-at="${CSS.escape(`${to}/name`)}"]`)?.focus();
    }, { hint: "Search nodes", back: this.#back() });
  }

  #chosen() {
    return this.#marked.size > 0 ? [...this.#marked] : this.#at.id === null ? [] : [this.#at.id];
  }

  #remove(ids = this.#chosen()) {
    if (ids.length === 0) return;
    const from = documents.pointers(this.document, this.#schema, ids).filter((each) => !ids.includes(each.from));
    const start = ids.includes(documents.startOf(this.document));
    if (from.length === 0 && !start) {
      this.#removed(ids, false);
      return;
    }
    const healed = documents.removeNodes(this.document, this.#schema, ids, true);
    const [first] = from;
    const to = first ? this.#leadsTo(healed, first) : documents.startOf(healed);
    dialog(ids.length === 1 ? `Delete ${ids[0]}?` : `Delete ${ids.length} nodes?`, (close) => [
      start ? el("p", { text: "The IVR begins here." }) : null,
      from.length > 0 ? el("p", { text: `${from.length === 1 ? "One transition leads" : `${from.length} transitions lead`} here:` }) : null,
      el("ul", {}, ...from.slice(0, 12).map(({ from: each, port }) => el("li", { text: `${each} by ${port.title}` })), from.length > 12 ? el("li", { text: `and ${from.length - 12} more` }) : null),
      el("div", { class: "ivr-acts" },
        to ? button(`Delete, and lead ${from.length === 1 ? "it" : "them"} to ${to}`, () => { close(); this.#removed(ids, true); }, { class: "ivr-first", autofocus: true }) : null,
        button("Delete, and leave the transitions open", () => { close(); this.#removed(ids, false); }, { autofocus: !to }),
        button("Cancel", close, { class: "ivr-quiet" })),
    ], { back: this.#back() });
  }

  #leadsTo(doc, { from, port }) {
    const node = doc.nodes[from];
    return documents.ports(node, this.#known.get(node.type)).find((each) => each.key === port.key)?.target ?? "";
  }

  #removed(ids, heal) {
    const before = documents.pointers(this.document, this.#schema, ids).map((each) => each.from).find((id) => !ids.includes(id));
    const doc = documents.removeNodes(this.document, this.#schema, ids, heal);
    const near = before ?? (Object.hasOwn(doc.nodes, documents.startOf(doc)) ? documents.startOf(doc) : Object.keys(doc.nodes)[0]);
    this.#change(doc, ids.length === 1 ? `deleted ${ids[0]}` : `deleted ${ids.length} nodes`);
    if (near !== undefined) this.#select(near);
    this.#say(`Deleted ${ids.join(", ")}. Z undoes it.`);
  }

  #duplicate(ids = this.#chosen()) {
    const made = ids.length > 0 && documents.duplicateNodes(this.document, this.#schema, ids);
    if (made) this.#pasted(made, "duplicated");
  }

  #pasted({ doc, ids }, word) {
    this.#change(doc, `${word} ${ids.join(", ")}`, { at: ids[0] });
    this.#marked = new Set(ids.length > 1 ? ids : []);
    this.#draw();
    if (this.#view === "graph") this.#focusCard();
    this.#say(`${word} ${ids.join(", ")}. Nothing leads there yet.`);
  }

  #rename(from, to) {
    if (from === to) return;
    const doc = documents.renameNode(this.document, this.#schema, from, to);
    const { port } = this.#at;
    this.#history.push({ doc, at: to }, `renamed ${from} to ${to}`);
    this.#place(to, port);
    this.#changed();
    this.#say(`${from} is now ${to}`);
  }

  #askName() {
    const { id } = this.#at;
    if (id === null) return;
    const fault = (name) => documents.nameFault(this.document, name, id);
    askText(`Rename ${id}`, { label: "Name", value: id, word: "Rename", fault, back: this.#back() }, (name) => {
      this.#rename(id, name);
      if (this.#view === "graph") this.#focusCard();
    });
  }

  // ---- clipboard ------------------------------------------------------------------------------------------------------

  #writing() {
    return ["INPUT", "TEXTAREA"].includes(document.activeElement?.tagName);
  }

  #copy(event, cut) {
    const ids = this.#chosen();
    if (this.#writing() || ids.length === 0 || String(getSelection()) !== "") return;
    event.clipboardData.setData("text/plain", documents.copyNodes(this.document, ids));
    event.preventDefault();
    this.#say(`Copied ${ids.join(", ")}`);
    if (cut) this.#remove(ids);
  }

  #paste(event) {
    if (!this.isConnected || this.#writing() || document.querySelector("dialog[open]")) return;
    const made = documents.pasteNodes(this.document, this.#schema, event.clipboardData.getData("text/plain"));
    if (!made) return;
    event.preventDefault();
    this.#pasted(made, "pasted");
  }

  // ---- keys -----------------------------------------------------------------------------------------------------------

  #anyKey(event) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      this.#tell("ivr-save");
    } else if (event.key === "Escape" && this.inspector.element.contains(event.target)) {
      event.preventDefault();
      this.#leave();
    } else if (!event.defaultPrevented && !this.#writing() && event.target.tagName !== "SELECT" && !this.graph.element.contains(event.target)) {
      // In the table and the bar only what no control has a use for.
      const act = actOf(event);
      if (["undo", "redo", "help", "find", "finding", "table", "graph"].includes(act)) this.#act(act, event);
    }
  }

  #key(event) {
    const act = actOf(event);
    if (act) this.#act(act, event);
  }

  #act(act, event) {
    const acts = {
      undo: () => this.#undo(), redo: () => this.#redo(), duplicate: () => this.#duplicate(), open: () => this.#at.id && this.#open(this.#at.id),
      add: () => this.#add({ from: this.#at.id, port: this.#at.port }), connect: () => this.#ask(), rename: () => this.#askName(), remove: () => this.#remove(),
      disconnect: () => this.#port() && this.#connect(this.#at.id, this.#port().key, ""), find: () => this.#find(), help: () => showKeys(this.#back()),
      finding: () => this.#nextFinding(), table: () => this.#show("table"), graph: () => this.#show("graph"), fit: () => this.graph.fit(),
      closer: () => this.graph.zoomBy(1.25), farther: () => this.graph.zoomBy(1 / 1.25), "life size": () => this.graph.zoomBy(1 / this.graph.zoom),
      "mark all": () => { this.#marked = new Set(Object.keys(this.document.nodes)); this.#draw(); this.#say(`${this.#marked.size} nodes are marked`); },
      mark: () => this.#mark(), leave: () => { this.#marked.clear(); this.#draw(); },
    };
    event.preventDefault();
    event.stopPropagation(); // the page has keys of its own
    (acts[act] ?? (() => this.#go(act)))();
  }

  #mark() {
    const { id } = this.#at;
    if (id === null) return;
    if (!this.#marked.delete(id)) this.#marked.add(id);
    this.#draw();
    this.#say(`${id} is ${this.#marked.has(id) ? "marked" : "no longer marked"}`);
  }

  #go(where) {
    const { id } = this.#at;
    const order = this.graph.order();
    if (id === null) {
      if (order.length > 0) this.#select(documents.startOf(this.document) in this.document.nodes ? documents.startOf(this.document) : order[0]);
      return;
    }
    if (where === "port up" || where === "port down") {
      this.#goPort(where === "port up" ? -1 : 1);
      return;
    }
    const there = (each) => each && Object.hasOwn(this.document.nodes, each);
    const last = this.#trail.at(-1);
    const leads = (from) => there(from) && this.#ports(from).some((port) => port.target === id);
    const ways = {
      forth: () => this.#port()?.target,
      back: () => (leads(last) ? last : documents.pointers(this.document, this.#schema, id)[0]?.from),
      up: () => this.graph.beside(id, -1), down: () => this.graph.beside(id, 1),
      start: () => documents.startOf(this.document), last: () => order.at(-1),
    };
    const to = ways[where]();
    if (there(to)) {
      this.#select(to);
      if (where === "back") this.#trail.splice(-2);
    } else {
      this.#say(where === "forth" && this.#port() ? `${this.#port().title} leads nowhere` : "Nothing there");
    }
  }

  #goPort(step) {
    const all = this.#ports(this.#at.id);
    if (all.length === 0) return;
    const next = all[Math.max(0, Math.min(all.length - 1, all.findIndex((port) => port.key === this.#at.port) + step))];
    this.#at = { ...this.#at, port: next.key };
    this.#draw({ typed: true });
    const there = Object.hasOwn(this.document.nodes, next.target);
    this.#say(`${next.title} leads ${there ? `to ${next.target}` : "nowhere"}`);
  }

  #nextFinding() {
    const bad = this.graph.order().filter((id) => this.#findings.byNode.has(id));
    const first = (id) => this.#findings.byNode.get(id).some((finding) => finding.severity === "error");
    const order = [...bad.filter(first), ...bad.filter((id) => !first(id))];
    if (order.length === 0) {
      const rest = this.#findings.rest.find((finding) => finding.here);
      this.#say(rest?.sentence ?? "No findings");
      return;
    }
    const to = order[(order.indexOf(this.#at.id) + 1) % order.length];
    this.#select(to);
    this.#say(`${to}: ${this.#findings.byNode.get(to).map((finding) => finding.sentence).join(". ")}`);
  }
}

customElements.define("ivr-editor", IvrEditor);
