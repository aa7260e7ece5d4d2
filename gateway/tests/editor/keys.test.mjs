import assert from "node:assert/strict";
import test from "node:test";

import { actOf } from "../../assets/console/ivr/keys.mjs";

const pressed = (key, more = {}) => actOf({ key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...more });

test("keys stand for the acts that the page of keys lists", () => {
  assert.deepEqual(["a", "A", "d", "z", "Enter", "?", "ArrowRight"].map((key) => pressed(key)), ["add", "add", "remove", "undo", "open", "help", "forth"]);
  assert.equal(pressed("z", { shiftKey: true }), "redo");
  assert.equal(pressed("Z", { ctrlKey: true, shiftKey: true }), "redo");
  assert.equal(pressed("ArrowDown", { shiftKey: true }), "port down");
});

test("keys of the browser stay the browser's", () => {
  for (const key of ["c", "v", "r", "f", "t", "l"]) assert.equal(pressed(key, { ctrlKey: true }), null, key);
  assert.equal(pressed("d", { altKey: true }), null);
  assert.equal(pressed("Tab"), null);
});
