import assert from "node:assert/strict";
import test from "node:test";

import * as documents from "../../assets/console/ivr/document.mjs";
import { main, schema } from "./parts.mjs";

const { kinds } = documents;
const portsOf = (doc, id) => documents.ports(doc.nodes[id], kinds(schema).get(doc.nodes[id].type));
const port = (doc, id, by) => portsOf(doc, id).find((each) => each.by === by);
const frozen = (value) => {
  if (value && typeof value === "object") Object.values(Object.freeze(value)).forEach(frozen);
  return value;
};
frozen(main);

test("ports come in the order of a telephone, then the others", () => {
  assert.deepEqual(portsOf(main, "menu").map((each) => each.by), ["1", "3", "0", "default", "error"]);
  assert.deepEqual(portsOf(main, "hours").map((each) => [each.by, each.target]), [["open", "again"], ["default", "closed"]]);
});

test("each kind of the schema can be added, and has what it must have", () => {
  for (const kind of schema.kinds) {
    const { doc, id } = documents.addNode(main, schema, kind.type);
    for (const field of kind.fields) {
      const must = !("default" in field);
      assert.equal(field.name in doc.nodes[id], must || "new" in field, `${kind.type}.${field.name}`);
    }
    for (const each of portsOf(doc, id)) assert.equal(each.target, "");
    assert.ok(documents.summary(doc.nodes[id], kind).length > 0);
  }
});

test("a node that is added behind a port stands in front of what that led to", () => {
  const { doc, id } = documents.addNode(main, schema, "message", { from: "greeting", at: port(main, "greeting", "next") });
  assert.equal(doc.nodes.greeting.next, id);
  assert.equal(doc.nodes[id].next, "menu");
});

test("a menu that is added behind a port leaves its keys open and leads on otherwise", () => {
  const { doc, id } = documents.addNode(main, schema, "menu", { from: "start", at: port(main, "start", "next") });
  assert.deepEqual(doc.nodes[id].choices, { 1: "" });
  assert.equal(doc.nodes[id].default, "greeting");
});

test("the first node of an empty document is its start", () => {
  const { doc, id } = documents.addNode({ name: "", kind: "initial", nodes: {} }, schema, "message");
  assert.equal(doc.start, id);
});

test("a rename changes every transition, the start and the note, and keeps the place", () => {
  const noted = documents.describe({ ...main, start: "menu" }, "menu", "asks");
  const doc = documents.renameNode(noted, schema, "menu", "main/menu".replace("/", "_"));
  assert.deepEqual(documents.pointers(doc, schema, "menu"), []);
  assert.deepEqual(documents.pointers(doc, schema, "main_menu").map((each) => each.from), ["again", "greeting"]);
  assert.equal(doc.start, "main_menu");
  assert.deepEqual(doc.descriptions, { main_menu: "asks" });
  assert.equal(Object.keys(doc.nodes).indexOf("main_menu"), Object.keys(main.nodes).indexOf("menu"));
});

test("names that cannot be used are told", () => {
  assert.match(documents.nameFault(main, ""), /needs a name/);
  assert.match(documents.nameFault(main, "menu"), /Another node/);
  assert.equal(documents.nameFault(main, "menu", "menu"), null);
  assert.match(documents.nameFault(main, "a/b"), /slash/);
  assert.match(documents.nameFault(main, "ü".repeat(33)), /at most/);
  assert.match(documents.nameFault(main, "__proto__"), /cannot/);
});

test("what led to a deleted node leads to what it led to, or nowhere", () => {
  const healed = documents.removeNodes(main, schema, ["greeting", "menu"], true);
  assert.equal(healed.nodes.start.next, "exit_sales");
  assert.equal(healed.nodes.again.next, "exit_sales");
  const open = documents.removeNodes(main, schema, ["menu"]);
  assert.equal(open.nodes.greeting.next, "");
  assert.deepEqual(documents.dangling(open, schema).map((each) => each.id), ["again", "greeting"]);
});

test("deleting nodes that lead in a circle ends", () => {
  const doc = documents.removeNodes(main, schema, ["menu", "hours", "closed", "again", "exit_sales", "exit_general"], true);
  assert.equal(doc.nodes.greeting.next, "");
  const circle = { name: "", kind: "initial", start: "x", nodes: { x: { type: "start", next: "a" }, a: { type: "message", prompt: "", next: "b" }, b: { type: "message", prompt: "", next: "a" } } };
  assert.equal(documents.removeNodes(circle, schema, ["a", "b"], true).nodes.x.next, "");
});

test("an optional transition that leads nowhere is left out", () => {
  const error = port(main, "menu", "error");
  const doc = documents.connect(main, "menu", error, "exit_general");
  assert.equal(doc.nodes.menu.error, "exit_general");
  assert.equal("error" in documents.connect(doc, "menu", error, "").nodes.menu, false);
});

test("copies keep the ways among them, and lead to nothing that is not there", () => {
  const text = documents.copyNodes(documents.describe(main, "closed", "late"), ["closed", "again"]);
  const here = documents.pasteNodes(main, schema, text);
  assert.deepEqual(here.ids, ["closed_2", "again_2"]);
  assert.equal(here.doc.nodes.closed_2.next, "again_2");
  assert.equal(here.doc.nodes.again_2.next, "menu");
  assert.equal(here.doc.descriptions.closed_2, "late");
  const elsewhere = documents.pasteNodes({ name: "", kind: "initial", nodes: {} }, schema, text);
  assert.equal(elsewhere.doc.nodes.again.next, "");
  assert.equal(elsewhere.doc.nodes.closed.next, "again");
});

test("text that is no copy of nodes is not pasted", () => {
  for (const text of ["", "{}", "[1]", "null", "{\"vestibule_nodes\": {}}", "{\"vestibule_nodes\": {\"a\": null}}", "{\"vestibule_nodes\": {\"a\": {\"type\": \"bomb\"}}}"]) {
    assert.equal(documents.pasteNodes(main, schema, text), null);
  }
});

test("duplicates of duplicates get names of their own", () => {
  let doc = main;
  for (let time = 0; time < 4; time += 1) ({ doc } = documents.duplicateNodes(doc, schema, ["menu"]));
  assert.deepEqual(Object.keys(doc.nodes).filter((id) => id.startsWith("menu")), ["menu", "menu_2", "menu_3", "menu_4", "menu_5"]);
});

test("findings are sorted by the nodes that they are about", () => {
  const findings = [
    { path: "/ivrs/ivr_main/nodes/a~1b/timeout_seconds", sentence: "x" },
    { path: "/ivrs/ivr_main", sentence: "y" },
    { path: "/ivrs/other/nodes/menu", sentence: "z" },
  ];
  const { byNode, rest } = documents.sortFindings(findings, "ivr_main");
  assert.deepEqual([...byNode.keys()], ["a/b"]);
  assert.deepEqual(byNode.get("a/b")[0].at, ["timeout_seconds"]);
  assert.deepEqual(rest.map((finding) => finding.here), [true, false]);
});

test("nodes that no call reaches are known", () => {
  const doc = documents.removeNodes(main, schema, ["hours"]);
  assert.equal(documents.reachable(doc, schema).has("closed"), false);
  assert.equal(documents.reachable(main, schema).size, Object.keys(main.nodes).length);
});
