// The document as a table: a row a node, in the order in which calls meet them. Everything can be done here with the
// controls of the page alone, without the picture.

import { ports, reachable, summary } from "./document.mjs";
import { button, el } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { targetSelect } from "./inspector.mjs";

export class Table {
  #does;

  /** `does`: select, open, connect, extend, remove, duplicate. */
  constructor(does) {
    this.#does = does;
    this.body = el("tbody");
    this.element = el("div", { class: "ivr-table" }, el("table", {},
      el("caption", { text: "Nodes and transitions, in the order in which calls meet them" }),
      el("thead", {}, el("tr", {}, ...["Node", "Does", "Transitions", "Findings", "Acts"].map((text) => el("th", { scope: "col", text })))),
      this.body));
  }

  /** Shows a document; the focus stays on the control that had it. */
  show({ doc, schema, known, findings, at, order }) {
    const held = this.body.contains(document.activeElement) ? document.activeElement : null;
    const place = held?.dataset.at;
    const reached = reachable(doc, schema);
    this.body.replaceChildren(...order.filter((id) => Object.hasOwn(doc.nodes, id)).map((id) =>
      this.#row(id, doc.nodes[id], { doc, kind: known.get(doc.nodes[id].type), findings: findings.get(id) ?? [], at, reached: reached.has(id) })));
    if (place) this.body.querySelector(`[data-at="${CSS.escape(place)}"]`)?.focus({ preventScroll: true });
  }

  #row(id, node, { doc, kind, findings, at, reached }) {
    const ways = ports(node, kind).map((port) => {
      const loose = !Object.hasOwn(doc.nodes, port.target) && !(port.optional && port.target === "");
      const pick = (target) => (target === null ? this.#does.extend(id, port.key) : this.#does.connect(id, port.key, target));
      return el("div", { class: loose ? "ivr-way ivr-loose" : "ivr-way" },
        el("span", { class: "ivr-way-title", text: port.title }),
        targetSelect(doc, { value: port.target, optional: port.optional, title: `${id}: ${port.title} leads to`, at: `${id}/${port.key}`, pick }));
    });
    const told = findings.map((finding) => el("p", { class: finding.severity === "error" ? "ivr-finding ivr-bad" : "ivr-finding ivr-warn" },
      icon(finding.severity === "error" ? "error" : "warning"), el("span", { text: finding.sentence })));
    const name = el("button", { type: "button", class: "ivr-link ivr-name", text: id, "aria-label": `Edit ${id}`, data: { at: `${id}/name` }, on: { click: () => this.#does.open(id) } });
    return el("tr", { class: at.id === id ? "ivr-at" : null, data: { id } },
      el("th", { scope: "row", data: { tone: kind?.group ?? "act" } }, el("span", { class: "ivr-sign" }, icon(node.type)),
        el("span", { class: "ivr-titles" }, name, el("span", { class: "ivr-kind", text: kind?.title ?? node.type }))),
      el("td", { class: "ivr-does", text: doc.descriptions?.[id] || summary(node, kind) }),
      el("td", {}, ...ways, ways.length === 0 ? el("span", { class: "ivr-quiet-text", text: "ends here" }) : null),
      el("td", {}, ...told, reached || told.length > 0 ? null : el("span", { class: "ivr-quiet-text", text: "no call comes here" })),
      el("td", { class: "ivr-row-acts" },
        button("Edit", () => this.#does.open(id), { class: "ivr-quiet", "aria-label": `Edit ${id}`, data: { at: `${id}/edit` } }),
        button("Add after", () => this.#does.add(id), { class: "ivr-quiet", "aria-label": `Add a node after ${id}`, data: { at: `${id}/add` } }),
        button("Duplicate", () => this.#does.duplicate([id]), { class: "ivr-quiet", "aria-label": `Duplicate ${id}`, data: { at: `${id}/duplicate` } }),
        button("Delete", () => this.#does.remove([id]), { class: "ivr-quiet ivr-danger", "aria-label": `Delete ${id}`, data: { at: `${id}/delete` } })));
  }
}
