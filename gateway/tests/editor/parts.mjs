// What the tests of the editor's pure modules share: the schema as the gateway serves it, and documents.

import { readFileSync } from "node:fs";

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));

export const schema = read("../../../config/src/document/nodes.json");

export const main = {
  name: "Main line",
  kind: "initial",
  nodes: {
    closed: { type: "message", prompt: "builtin:closed", next: "again" },
    again: { type: "loop_guard", times_max: 3, next: "menu", exceeded: "exit_general" },
    exit_general: { type: "exit" },
    exit_sales: { type: "exit" },
    greeting: { type: "message", prompt: "builtin:welcome", next: "menu" },
    hours: { type: "schedule", rows: [{ when: { name: "open", weekdays: ["monday"], zone: "UTC" }, next: "again" }], default: "closed" },
    menu: { type: "menu", prompt: "builtin:menu", choices: { 0: "exit_general", 1: "exit_sales", 3: "hours" }, default: "exit_general" },
    start: { type: "start", next: "greeting" },
  },
};

/** A random number generator that always says the same (mulberry32). */
export function chance(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A graph of so many nodes with ways to and fro. */
export function graph(count, seed) {
  const random = chance(seed);
  return Array.from({ length: count }, (_, at) => ({
    id: `n${at}`,
    ports: Array.from({ length: 1 + Math.floor(random() * 4) }, (_, port) => {
      const target = random() < 0.15 ? at - Math.floor(random() * 12) : at + 1 + Math.floor(random() * 12);
      return { key: `p${port}`, target: `n${Math.max(0, Math.min(count - 1, target))}` };
    }),
  }));
}
