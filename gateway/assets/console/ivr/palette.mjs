// A list to choose from by typing: kinds to add, nodes to lead to, nodes to find.

import { dialog, el, freshId } from "./dom.mjs";
import { icon } from "./icons.mjs";

/**
 * Asks for one of `options` (`{value, title, says, icon, group}`), in groups as they come; `pick` is called with its
 * value once. Typing narrows; arrows, Home, End and Enter choose; Escape leaves.
 */
export function choose(title, options, pick, { hint = "Type to search", back } = {}) {
  const listId = freshId("list");
  let shown = [];
  let at = 0;
  const input = el("input", {
    type: "text", role: "combobox", class: "ivr-search", placeholder: hint, autocomplete: "off", spellcheck: "false",
    "aria-label": hint, "aria-expanded": "true", "aria-controls": listId, "aria-autocomplete": "list",
  });
  const list = el("div", { id: listId, role: "listbox", class: "ivr-options", "aria-label": title });
  const open = dialog(title, () => [input, list], { back, classes: "ivr-palette" });
  const take = (option) => {
    open.close();
    pick(option.value);
  };
  const mark = (to, into = true) => {
    const rows = [...list.querySelectorAll("[role=option]")];
    at = Math.max(0, Math.min(rows.length - 1, to));
    rows.forEach((row, place) => row.setAttribute("aria-selected", String(place === at)));
    input.setAttribute("aria-activedescendant", rows[at]?.id ?? "");
    if (into) rows[at]?.scrollIntoView({ block: "nearest" });
  };
  const draw = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (option) => `${option.title} ${option.says ?? ""} ${option.group ?? ""}`.toLowerCase();
    shown = options.filter((option) => words.every((word) => text(option).includes(word)));
    // What begins with the words is what is meant.
    const begins = (option) => (words.length > 0 && option.title.toLowerCase().startsWith(words[0]) ? 0 : 1);
    if (words.length > 0) shown = shown.map((option, place) => [option, place]).sort((a, b) => begins(a[0]) - begins(b[0]) || a[1] - b[1]).map(([option]) => option);
    let group = null;
    list.replaceChildren(...shown.flatMap((option) => {
      const rows = [];
      if (words.length === 0 && option.group && option.group !== group) rows.push(el("div", { class: "ivr-option-group", role: "presentation", text: option.group }));
      group = option.group;
      rows.push(el("div", { role: "option", id: freshId("option"), class: "ivr-option", data: { tone: option.tone ?? "" }, on: { click: () => take(option) } },
        option.icon ? el("span", { class: "ivr-sign" }, icon(option.icon)) : null,
        el("span", { class: "ivr-option-title", text: option.title }),
        option.says ? el("span", { class: "ivr-option-says", text: option.says }) : null));
      return rows;
    }));
    if (shown.length === 0) list.append(el("p", { class: "ivr-empty", text: "Nothing of this name." }));
    mark(0, false);
    list.scrollTop = 0;
  };
  input.addEventListener("input", draw);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) mark(at + step);
    else if (event.key === "Home" && event.ctrlKey) mark(0);
    else if (event.key === "End" && event.ctrlKey) mark(shown.length - 1);
    else if (event.key === "Enter" && shown[at]) take(shown[at]);
    else return;
    event.preventDefault();
  });
  draw();
  input.focus();
  return open;
}
