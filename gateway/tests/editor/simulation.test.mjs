import assert from "node:assert/strict";
import test from "node:test";

import { compare, same } from "../../assets/console/ivr/compare.mjs";
import { clock, ended, expectation, nextKeyAt, stepsOf } from "../../assets/console/ivr/simulation.mjs";
import { main } from "./parts.mjs";

const kinds = { menu: "menu", ask: "input", hello: "message" };
const kindOf = (visit) => kinds[visit.node];
const path = [{ node: "hello", ivr: "i", by: null, at_ms: 0 }, { node: "menu", ivr: "i", by: "next", at_ms: 2000 }, { node: "ask", ivr: "i", by: "1", at_ms: 3000 }];

test("a key is pressed where the call listens, and further ones where several are asked for", () => {
  assert.equal(nextKeyAt(path.slice(0, 2), kindOf, {}), 3);
  assert.equal(nextKeyAt(path, kindOf, { 3: "1" }), 4);
  assert.equal(nextKeyAt(path, kindOf, { 3: "1", 4: "5" }), 5);
  assert.equal(nextKeyAt([], kindOf, {}), 0);
});

test("steps that come to a node know their place in the path", () => {
  const steps = [{ at_ms: 0, what: "node hello of i" }, { at_ms: 1, what: "node menu of i is a word" }, { at_ms: 2000, what: "node menu of i by next" }];
  assert.deepEqual(stepsOf({ steps, path }).map((step) => step.visit), [0, null, 1]);
});

test("times, ends and expectations are said", () => {
  assert.equal(clock(67000), "1:07");
  assert.match(ended({ answered: true, exit: "sales", inbox: "ib", outcome: { reason: "abandoned_in_queue" } }), /^Answered, by sales to ib · abandoned in queue$/);
  assert.equal(ended({ answered: false, refused_with: 404 }), "Refused with 404");
  assert.deepEqual(expectation({ exit: "sales", inbox: "ib" }), { exit: "sales", inbox: "ib" });
  assert.deepEqual(expectation({ outcome: { reason: "completed" } }), { reason: "completed" });
});

test("two forms of an IVR are compared node by node, whatever the order of their keys", () => {
  assert.ok(same({ a: 1, b: [1, { c: 2 }] }, { b: [1, { c: 2 }], a: 1 }));
  const after = structuredClone(main);
  delete after.nodes.closed;
  after.nodes.more = { type: "exit" };
  after.nodes.menu.retries = 1;
  after.name = "Another";
  assert.deepEqual(compare(main, after), [
    { what: "changed", id: "", fields: ["name"] }, { what: "removed", id: "closed", fields: [] }, { what: "changed", id: "menu", fields: ["retries"] }, { what: "added", id: "more", fields: [] },
  ]);
});
