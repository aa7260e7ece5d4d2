// The document as a picture: cards with their ports, lines between them, and a small map. Draws what it is given and says
// what was done to it; changes nothing itself. Cards are kept from one drawing to the next, so that the focus stays.

import { ports, startOf, summary } from "./document.mjs";
import { el, present, svg } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { layOut, pathOf } from "./layout.mjs";

const ZOOM_MIN = 0.12;
const ZOOM_MAX = 1.6;
const FAR = 0.5; // below this only names are written, and larger
const MARGIN = 40;

export class Graph {
  /** Elements by node. */
  cards = new Map();
  #lines = new Map();
  #layout = { cards: new Map(), lines: [], width: 0, height: 0 };
  #shape = "";
  #view = { x: MARGIN, y: MARGIN, zoom: 1 };
  #does;
  #drag = null;
  #pointers = new Map();

  /** `does` is what is called: `select(id, portKey, add)`, `open(id)`, `connect(id, portKey, target)`, `extend(id, portKey)`. */
  constructor(does) {
    this.#does = does;
    this.lines = svg("svg", { class: "ivr-lines", "aria-hidden": "true" });
    this.trail = svg("path", { class: "ivr-line ivr-trail" });
    this.plane = el("div", { class: "ivr-plane" }, this.lines);
    this.map = svg("svg", { class: "ivr-map", "aria-hidden": "true", on: { pointerdown: (event) => this.#moveByMap(event), pointermove: (event) => event.buttons && this.#moveByMap(event) } });
    this.element = el("div", {
      class: "ivr-canvas", role: "application", "aria-label": "Graph of the IVR. Arrow keys move along transitions, question mark lists all keys, T shows the table.",
    }, this.plane, this.map);
    this.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.element.addEventListener("pointerdown", (event) => this.#down(event));
    this.element.addEventListener("pointermove", (event) => this.#move(event));
    this.element.addEventListener("pointerup", (event) => this.#up(event));
    this.element.addEventListener("pointercancel", (event) => this.#up(event, true));
    this.element.addEventListener("dblclick", (event) => {
      const card = event.target.closest?.(".ivr-card");
      if (card) this.#does.open(card.dataset.id);
    });
    new ResizeObserver(() => this.#drawMap()).observe(this.element);
  }

  // ---- drawing --------------------------------------------------------------------------------------------------------

  /** Draws a document. `marked` are the chosen nodes, `at` the one with the focus and its port, `trace` a simulated way. */
  draw({ doc, schema, known, findings, at, marked, trace }) {
    const nodes = Object.entries(doc.nodes).map(([id, node]) => ({ id, node, ports: ports(node, known.get(node.type)) }));
    const shape = JSON.stringify([startOf(doc), nodes.map(({ id, ports: all }) => [id, all.map(({ key, target }) => [key, target])])]);
    const moved = shape !== this.#shape;
    if (moved) this.#layout = layOut(nodes, startOf(doc));
    this.#shape = shape;
    const gone = new Set(this.cards.keys());
    for (const each of nodes) {
      gone.delete(each.id);
      this.#drawCard(each, { doc, kind: known.get(each.node.type), findings: findings.get(each.id) ?? [], at, marked, trace });
    }
    for (const id of gone) {
      this.cards.get(id).element.remove();
      this.cards.delete(id);
    }
    this.#drawLines(at, trace);
    if (moved) {
      this.plane.style.setProperty("width", `${this.#layout.width}px`);
      this.plane.style.setProperty("height", `${this.#layout.height}px`);
    }
    this.#drawMap();
  }

  #drawCard({ id, node, ports: all }, { doc, kind, findings, at, marked, trace }) {
    let card = this.cards.get(id);
    const place = this.#layout.cards.get(id);
    if (!card) {
      const element = el("div", { class: "ivr-card", tabindex: "-1", role: "group", "aria-roledescription": "node", data: { id } });
      element.addEventListener("focus", () => this.#does.focused(id));
      card = { element, content: null };
      this.cards.set(id, card);
      this.plane.append(element);
    }
    const { element } = card;
    const start = startOf(doc) === id;
    const known = new Set(Object.keys(doc.nodes));
    const said = doc.descriptions?.[id] ?? "";
    const loose = all.filter((each) => !known.has(each.target) && !(each.optional && each.target === ""));
    const content = JSON.stringify([node, start, said, findings.map((finding) => finding.sentence), loose.map((each) => each.key)]);
    if (content !== card.content) {
      element.dataset.tone = kind?.group ?? "act";
      element.classList.toggle("ivr-start", start);
      element.replaceChildren(...cardContent(id, node, kind, all, { known, findings, said }));
      element.setAttribute("aria-label", spoken(id, node, kind, all, { start, findings, known, said }));
    }
    card.content = content;
    element.style.setProperty("transform", `translate(${place.x}px, ${place.y}px)`);
    element.style.setProperty("height", `${place.height}px`);
    element.tabIndex = at.id === id ? 0 : -1;
    element.classList.toggle("ivr-at", at.id === id);
    element.classList.toggle("ivr-marked", marked.has(id));
    const step = trace?.steps.get(id);
    element.classList.toggle("ivr-walked", Boolean(step));
    element.classList.toggle("ivr-now", trace?.now === id);
    if (step) element.dataset.step = step;
    else delete element.dataset.step;
    for (const row of element.querySelectorAll(".ivr-port")) row.classList.toggle("ivr-port-at", at.id === id && row.dataset.key === at.port);
  }

  #drawLines(at, trace) {
    const wanted = new Map(this.#layout.lines.map((line) => [`${line.from}\0\0${line.key}`, line]));
    for (const [key, line] of this.#lines) {
      if (wanted.has(key)) continue;
      line.remove();
      this.#lines.delete(key);
    }
    for (const [key, line] of wanted) {
      let path = this.#lines.get(key);
      if (!path) {
        path = svg("path");
        this.#lines.set(key, path);
        this.lines.append(path);
      }
      path.setAttribute("d", pathOf(line.points));
      const near = at.id === line.from || at.id === line.to;
      const classes = ["ivr-line"];
      if (line.back) classes.push("ivr-back");
      if (trace?.lines.has(key)) classes.push("ivr-line-walked");
      if (near) classes.push(at.id === line.from ? "ivr-out" : "ivr-in");
      if (at.id === line.from && at.port === line.key) classes.push("ivr-line-at");
      path.setAttribute("class", classes.join(" "));
      if (near || trace?.lines.has(key)) this.lines.append(path); // above the others
    }
  }

  #drawMap() {
    const { width, height } = this.#layout;
    const { clientWidth, clientHeight } = this.element;
    if (clientWidth === 0 || width === 0) return;
    const { x, y, zoom } = this.#view;
    const fits = width * zoom + x <= clientWidth && height * zoom + y <= clientHeight && x >= 0 && y >= 0;
    this.map.classList.toggle("ivr-hidden", fits || this.cards.size < 8);
    const scale = Math.min(168 / width, 104 / height);
    this.map.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.map.setAttribute("width", Math.max(24, width * scale));
    this.map.setAttribute("height", Math.max(24, height * scale));
    const boxes = [...this.#layout.cards].map(([id, card]) =>
      svg("rect", { x: card.x, y: card.y, width: card.width, height: card.height, rx: 12, "data-tone": this.cards.get(id)?.element.dataset.tone }));
    const seen = svg("rect", { class: "ivr-seen", x: -x / zoom, y: -y / zoom, width: clientWidth / zoom, height: clientHeight / zoom });
    this.map.replaceChildren(...boxes, seen);
  }

  // ---- the view -------------------------------------------------------------------------------------------------------

  get zoom() {
    return this.#view.zoom;
  }

  #show(view, smooth = false) {
    this.#view = view;
    this.plane.classList.toggle("ivr-smooth", smooth);
    this.plane.style.setProperty("transform", `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`);
    this.element.classList.toggle("ivr-far", view.zoom < FAR);
    this.element.style.setProperty("--ivr-grid", `${Math.max(12, 24 * view.zoom)}px`);
    this.element.style.setProperty("--ivr-grid-x", `${view.x}px`);
    this.element.style.setProperty("--ivr-grid-y", `${view.y}px`);
    this.#drawMap();
  }

  /** Shows all of it, never larger than life; what would be too small to read begins at the start instead. */
  fit({ smooth = true, readable = false } = {}) {
    const { clientWidth, clientHeight } = this.element;
    if (clientWidth === 0) return;
    const { width, height } = this.#layout;
    const all = Math.min(1, (clientWidth - 2 * MARGIN) / width, (clientHeight - 2 * MARGIN) / height);
    const zoom = Math.max(ZOOM_MIN, readable ? Math.max(all, 0.75) : all);
    const x = width * zoom + 2 * MARGIN <= clientWidth ? (clientWidth - width * zoom) / 2 : MARGIN;
    const y = height * zoom + 2 * MARGIN <= clientHeight ? (clientHeight - height * zoom) / 2 : MARGIN;
    this.#show({ x, y, zoom }, smooth);
  }

  /** Closer or farther, around the middle or a point of the canvas. */
  zoomBy(factor, point = null) {
    const zoom = Math.max(ZOOM_MIN, Math.min(ZOOM_MAX, this.#view.zoom * factor));
    const [px, py] = point ?? [this.element.clientWidth / 2, this.element.clientHeight / 2];
    const part = zoom / this.#view.zoom;
    this.#show({ x: px - (px - this.#view.x) * part, y: py - (py - this.#view.y) * part, zoom }, point === null);
  }

  /** Moves the view just as far as a node needs to be seen; `middle` brings it there even if it is. */
  reveal(id, { middle = false } = {}) {
    const card = this.#layout.cards.get(id);
    const { clientWidth, clientHeight } = this.element;
    if (!card || clientWidth === 0) return;
    const { x, y, zoom } = this.#view;
    const space = 28;
    const into = (from, length, whole) => {
      if (middle) return whole / 2 - (from + length / 2);
      if (from < space) return space - from;
      return from + length > whole - space ? Math.max(space - from, whole - space - from - length) : 0;
    };
    const dx = into(card.x * zoom + x, card.width * zoom, clientWidth);
    const dy = into(card.y * zoom + y, card.height * zoom, clientHeight);
    if (dx !== 0 || dy !== 0) this.#show({ x: x + dx, y: y + dy, zoom }, true);
  }

  /** The nearest card in a direction of the same column, or in its neighbours. */
  beside(id, direction) {
    const own = this.#layout.cards.get(id);
    const column = [...this.#layout.cards].filter(([, card]) => card.rank === own.rank).sort((a, b) => a[1].y - b[1].y);
    return column[column.findIndex(([each]) => each === id) + direction]?.[0] ?? null;
  }

  /** Nodes in reading order: column by column. */
  order() {
    return [...this.#layout.cards].sort((a, b) => a[1].rank - b[1].rank || a[1].y - b[1].y).map(([id]) => id);
  }

  #moveByMap(event) {
    const box = this.map.getBoundingClientRect();
    const { width, height } = this.#layout;
    const { clientWidth, clientHeight } = this.element;
    const { zoom } = this.#view;
    const x = clientWidth / 2 - ((event.clientX - box.left) / box.width) * width * zoom;
    const y = clientHeight / 2 - ((event.clientY - box.top) / box.height) * height * zoom;
    this.#show({ x, y, zoom });
    event.stopPropagation();
    event.preventDefault();
  }

  // ---- mouse and finger -------------------------------------------------------------------------------------------------

  #point(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    if (event.ctrlKey || event.metaKey) {
      this.zoomBy(Math.exp(-event.deltaY * lines * 0.004), this.#point(event));
      return;
    }
    const [dx, dy] = event.shiftKey && event.deltaX === 0 ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
    this.#show({ ...this.#view, x: this.#view.x - dx * lines, y: this.#view.y - dy * lines });
  }

  #down(event) {
    if (event.button > 1 || event.target.closest?.(".ivr-map")) return;
    this.#pointers.set(event.pointerId, this.#point(event));
    const card = event.target.closest?.(".ivr-card");
    const port = event.target.closest?.(".ivr-port");
    const [x, y] = this.#point(event);
    if (this.#pointers.size === 2) this.#drag = { what: "pinch" };
    else if (port && event.button === 0 && event.pointerType !== "touch") this.#drag = { what: "line", id: card.dataset.id, port: port.dataset.key, from: [x, y], far: false };
    else this.#drag = { what: "view", from: [x, y], view: this.#view, card, port, far: false };
    if (card && event.button === 0) this.#does.select(card.dataset.id, port?.dataset.key ?? null, event.ctrlKey || event.metaKey || event.shiftKey);
    if (!card) this.element.setPointerCapture(event.pointerId);
  }

  #move(event) {
    if (!this.#pointers.has(event.pointerId) || !this.#drag) return;
    const before = new Map(this.#pointers);
    const [x, y] = this.#point(event);
    this.#pointers.set(event.pointerId, [x, y]);
    if (this.#drag.what === "pinch") {
      this.#pinch([...before.values()], [...this.#pointers.values()]);
      return;
    }
    const [fx, fy] = this.#drag.from;
    if (!this.#drag.far && Math.hypot(x - fx, y - fy) < 5) return;
    if (!this.#drag.far) this.element.setPointerCapture(event.pointerId);
    this.#drag.far = true;
    if (this.#drag.what === "view") {
      this.element.classList.add("ivr-dragged");
      this.#show({ ...this.#drag.view, x: this.#drag.view.x + x - fx, y: this.#drag.view.y + y - fy });
    } else {
      this.#pull(event, [x, y]);
    }
  }

  #pinch([a, b], [c, d]) {
    const length = ([x, y], [u, v]) => Math.hypot(u - x, v - y);
    const middle = ([x, y], [u, v]) => [(x + u) / 2, (y + v) / 2];
    if (!b || !d || length(a, b) === 0) return;
    const [m, n] = [middle(a, b), middle(c, d)];
    this.#show({ ...this.#view, x: this.#view.x + n[0] - m[0], y: this.#view.y + n[1] - m[1] });
    this.zoomBy(length(c, d) / length(a, b), n);
  }

  /** A line is pulled out of a port. */
  #pull(event, [x, y]) {
    const card = this.#layout.cards.get(this.#drag.id);
    const row = this.cards.get(this.#drag.id).element.querySelector(`[data-key="${CSS.escape(this.#drag.port)}"]`);
    const from = [card.x + card.width, card.y + row.offsetTop + row.offsetHeight / 2];
    const to = [(x - this.#view.x) / this.#view.zoom, (y - this.#view.y) / this.#view.zoom];
    const bend = Math.max(40, Math.abs(to[0] - from[0]) / 2);
    this.trail.setAttribute("d", `M${from[0]} ${from[1]}C${from[0] + bend} ${from[1]} ${to[0] - bend} ${to[1]} ${to[0]} ${to[1]}`);
    if (!this.trail.isConnected) this.lines.append(this.trail);
    const over = this.#cardAt(event);
    for (const { element } of this.cards.values()) element.classList.toggle("ivr-target", element.dataset.id === over);
  }

  #cardAt(event) {
    return document.elementFromPoint(event.clientX, event.clientY)?.closest?.(".ivr-card")?.dataset.id ?? null;
  }

  #up(event, cancelled = false) {
    this.#pointers.delete(event.pointerId);
    const drag = this.#drag;
    if (!drag) return;
    this.#drag = null;
    this.element.classList.remove("ivr-dragged");
    this.trail.remove();
    for (const { element } of this.cards.values()) element.classList.remove("ivr-target");
    if (cancelled || drag.what !== "line" || !drag.far) return;
    const over = this.#cardAt(event);
    if (over) this.#does.connect(drag.id, drag.port, over);
    else this.#does.extend(drag.id, drag.port);
  }
}

// ---- a card ---------------------------------------------------------------------------------------------------------

function cardContent(id, node, kind, all, { known, findings, said }) {
  const errors = findings.filter((finding) => finding.severity === "error").length;
  const tell = findings.map((finding) => finding.sentence).join("\n");
  const badge = findings.length === 0 ? null : el("span", { class: errors > 0 ? "ivr-badge ivr-bad" : "ivr-badge ivr-warn", title: tell, text: String(findings.length) });
  const rows = all.map((port) => portRow(port, known.has(port.target), all.length === 1));
  const single = all.length === 1;
  return present([
    badge,
    el("div", { class: "ivr-head" },
      el("span", { class: "ivr-sign" }, icon(node.type)),
      el("span", { class: "ivr-titles" }, el("span", { class: "ivr-name", text: id }),
        el("span", { class: "ivr-kind-line" }, el("span", { class: "ivr-kind", text: kind?.title ?? node.type }), single ? rows : null))),
    el("div", { class: "ivr-summary", title: said || null, text: said || summary(node, kind) }),
    single ? null : rows,
  ]);
}

/** A port: where it leads is written, so that a line that leaves the view is no riddle. */
function portRow(port, there, single) {
  const loose = !there && !(port.optional && port.target === "");
  const target = there ? port.target : loose ? port.target || "nowhere" : "—";
  return el("div", { class: `ivr-port${single ? " ivr-single" : ""}${loose ? " ivr-loose" : ""}${there ? "" : " ivr-open"}`, data: { key: port.key } },
    single ? null : el("span", { class: "ivr-port-title", text: port.title }),
    el("span", { class: "ivr-port-target", text: single ? `${port.by === "next" ? "" : `${port.title} `}→ ${target}` : target }),
    el("span", { class: "ivr-dot" }));
}

/** A card for those who do not see it. */
function spoken(id, node, kind, all, { start, findings, known, said }) {
  const parts = [`${id}, ${kind?.title ?? node.type}`];
  if (start) parts.push("the IVR begins here");
  parts.push(said || summary(node, kind));
  for (const port of all) {
    if (!(port.optional && port.target === "")) parts.push(`${port.title} leads ${known.has(port.target) ? `to ${port.target}` : "nowhere"}`);
  }
  if (all.length === 0) parts.push("nothing follows");
  for (const finding of findings) parts.push(`${finding.severity}: ${finding.sentence}`);
  return parts.join(". ");
}
