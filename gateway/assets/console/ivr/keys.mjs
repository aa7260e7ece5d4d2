// The keys of the editor: which act each stands for, and the page that lists them.

import { dialog, el } from "./dom.mjs";

/** Keys and what they do, as they are listed. */
export const LISTED = [
  ["Move", [
    ["→ ←", "along the chosen transition, and back"],
    ["↑ ↓", "to the node above or below"],
    ["Shift + ↑ ↓", "to another transition of the node"],
    ["Home, End", "to the start, to the last node"],
    ["/", "find a node"],
    ["E", "to the next finding"],
  ]],
  ["Change", [
    ["A", "add a node behind the chosen transition"],
    ["C", "connect the chosen transition"],
    ["X", "disconnect the chosen transition"],
    ["Enter", "open the inspector; Escape comes back"],
    ["R, F2", "rename"],
    ["D, Delete", "delete"],
    ["Ctrl + D", "duplicate"],
    ["Space", "mark; marked nodes are deleted, copied and duplicated together"],
    ["Ctrl + C, X, V", "copy, cut, paste"],
    ["Z, Ctrl + Z", "undo"],
    ["Shift + Z, Ctrl + Y", "redo"],
    ["Ctrl + S", "save the draft"],
  ]],
  ["View", [
    ["T, G", "table, graph"],
    ["F", "show all"],
    ["+ − 0", "closer, farther, life size"],
    ["?", "these keys"],
  ]],
];

/** The act that a key stands for in the graph; null for none. */
export function actOf({ key, ctrlKey, metaKey, shiftKey, altKey }) {
  if (altKey) return null;
  const low = key.toLowerCase();
  if (ctrlKey || metaKey) {
    if (low === "z") return shiftKey ? "redo" : "undo";
    return { y: "redo", d: "duplicate", a: "mark all" }[low] ?? null;
  }
  if (low === "z") return shiftKey ? "redo" : "undo";
  if (shiftKey && key === "ArrowUp") return "port up";
  if (shiftKey && key === "ArrowDown") return "port down";
  const named = {
    ArrowRight: "forth", ArrowLeft: "back", ArrowUp: "up", ArrowDown: "down", Home: "start", End: "last", Enter: "open",
    F2: "rename", Delete: "remove", Backspace: "remove", Escape: "leave", " ": "mark", "/": "find", "?": "help", "+": "closer",
    "=": "closer", "-": "farther", 0: "life size",
  };
  const letters = { a: "add", c: "connect", x: "disconnect", r: "rename", d: "remove", e: "finding", t: "table", g: "graph", f: "fit" };
  return named[key] ?? (shiftKey ? null : letters[low] ?? null);
}

/** Shows the keys. */
export function showKeys(back) {
  return dialog("Keys", (close) => [
    el("div", { class: "ivr-keys" }, ...LISTED.map(([title, rows]) => el("section", {}, el("h3", { text: title }),
      el("dl", {}, ...rows.flatMap(([keys, does]) => [el("dt", {}, ...keys.split(", ").flatMap((each, at) => [at > 0 ? ", " : null, el("kbd", { text: each })])), el("dd", { text: does })]))))),
    el("p", { class: "ivr-says", text: "The table shows the same document and needs none of them." }),
    el("div", { class: "ivr-acts" }, el("button", { type: "button", autofocus: true, text: "Close", on: { click: close } })),
  ], { back, classes: "ivr-wide" });
}
