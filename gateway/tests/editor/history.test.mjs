import assert from "node:assert/strict";
import test from "node:test";

import { History, JOINED_MS, STEPS_MAX } from "../../assets/console/ivr/history.mjs";

test("what was done is undone and done again, in its order", () => {
  const history = new History("a");
  history.push("b", "to b");
  history.push("c", "to c");
  assert.equal(history.undo(), "to c");
  assert.equal(history.now, "b");
  assert.equal(history.undo(), "to b");
  assert.equal(history.now, "a");
  assert.equal(history.undo(), null);
  assert.equal(history.redo(), "to b");
  assert.equal(history.redoes, "to c");
  history.push("d", "to d");
  assert.equal(history.redo(), null, "a new step ends what could be done again");
  assert.equal(history.undoes, "to d");
});

test("typing is one step until it pauses", () => {
  const history = new History("");
  history.push("h", "text", { joins: "field", at: 1000 });
  history.push("he", "text", { joins: "field", at: 1100 });
  history.push("hel", "text", { joins: "field", at: 1100 + JOINED_MS + 1 });
  history.push("hel", "other", { joins: "other", at: 1100 + JOINED_MS + 2 });
  history.undo();
  assert.equal(history.now, "hel");
  history.undo();
  assert.equal(history.now, "he");
  history.undo();
  assert.equal(history.now, "");
});

test("an undo parts what is typed after it from what was typed before", () => {
  const history = new History("");
  history.push("a", "text", { joins: "field", at: 1 });
  history.push("b", "other", {});
  history.undo();
  history.push("ab", "text", { joins: "field", at: 2 });
  history.undo();
  assert.equal(history.now, "a");
});

test("the steps are bounded", () => {
  const history = new History(0);
  for (let state = 1; state <= STEPS_MAX + 50; state += 1) history.push(state, "step");
  let undone = 0;
  while (history.undo()) undone += 1;
  assert.equal(undone, STEPS_MAX);
  assert.equal(history.now, 50);
});
