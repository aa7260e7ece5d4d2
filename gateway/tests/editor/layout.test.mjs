import assert from "node:assert/strict";
import test from "node:test";

import { kinds, ports } from "../../assets/console/ivr/document.mjs";
import { layOut, pathOf } from "../../assets/console/ivr/layout.mjs";
import { graph, main, schema } from "./parts.mjs";

const nodesOf = (doc) => Object.entries(doc.nodes).map(([id, node]) => ({ id, ports: ports(node, kinds(schema).get(node.type)) }));

function overlaps(cards) {
  const all = [...cards];
  return all.flatMap(([a, one], at) => all.slice(at + 1)
    .filter(([, other]) => one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height && other.y < one.y + one.height)
    .map(([b]) => [a, b]));
}

test("every node has a place, no two overlap, and every line that leads somewhere is drawn", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const nodes = graph(60, seed);
    const { cards, lines, width, height } = layOut(nodes, "n0");
    assert.equal(cards.size, 60);
    assert.deepEqual(overlaps(cards), []);
    assert.equal(lines.length, nodes.flatMap((node) => node.ports).length);
    for (const { x, y, width: w, height: h } of cards.values()) assert.ok(x >= 0 && y >= 0 && x + w <= width && y + h <= height);
    for (const [x, y] of lines.flatMap((line) => line.points)) assert.ok(x >= 0 && y >= 0 && x <= width + 0.5 && y <= height + 0.5);
  }
});

test("lines run along the axes, from the right of a card to the left of another, and through no card", () => {
  const { cards, lines } = layOut(graph(60, 7), "n0");
  for (const { from, to, points } of lines) {
    assert.equal(points[0][0], cards.get(from).x + cards.get(from).width);
    assert.equal(points.at(-1)[0], cards.get(to).x);
    for (let at = 1; at < points.length; at += 1) {
      const [[x, y], [u, v]] = [points[at - 1], points[at]];
      assert.ok(x === u || y === v, `${from} → ${to}`);
      const through = [...cards].filter(([, card]) => Math.max(x, u) > card.x && Math.min(x, u) < card.x + card.width && Math.max(y, v) > card.y && Math.min(y, v) < card.y + card.height);
      assert.deepEqual(through.map(([id]) => id), [], `${from} → ${to}`);
    }
  }
});

test("what is led to stands to the right, unless the line leads back", () => {
  const { cards, lines } = layOut(nodesOf(main), "start");
  assert.equal(cards.get("start").rank, 0);
  for (const { from, to, back } of lines) assert.equal(back, cards.get(to).rank <= cards.get(from).rank, `${from} → ${to}`);
  assert.deepEqual(lines.filter((line) => line.back).map((line) => [line.from, line.to]), [["again", "menu"]]);
});

test("a chain without branches is one straight line", () => {
  const nodes = Array.from({ length: 6 }, (_, at) => ({ id: `m${at}`, ports: [{ key: "next", target: `m${at + 1}` }] }));
  const { cards, lines } = layOut(nodes, "m0");
  assert.equal(new Set([...cards.values()].map((card) => card.y)).size, 1);
  for (const { points } of lines) assert.equal(new Set(points.map(([, y]) => y)).size, 1);
});

test("the same graph is drawn the same, in whatever order its nodes come", () => {
  const nodes = graph(40, 3);
  const places = (all) => JSON.stringify([...layOut(all, "n0").cards].sort());
  assert.equal(places(nodes), places([...nodes].reverse()));
});

test("a node more at the end leaves the others where they were", () => {
  const before = layOut(nodesOf(main), "start").cards;
  const more = { ...main, nodes: { ...main.nodes, exit_sales: { type: "message", prompt: "x", next: "last" }, last: { type: "exit" } } };
  const after = layOut(nodesOf(more), "start").cards;
  const order = (cards, rank) => [...cards].filter(([, card]) => card.rank === rank).sort((a, b) => a[1].y - b[1].y).map(([id]) => id);
  for (let rank = 0; rank <= 3; rank += 1) assert.deepEqual(order(after, rank).filter((id) => before.has(id)), order(before, rank));
});

test("a node that leads to itself, parts that nothing connects and a missing start are drawn", () => {
  const self = layOut([{ id: "a", ports: [{ key: "p", target: "a" }, { key: "q", target: "gone" }] }, { id: "b", ports: [] }], "nowhere");
  assert.equal(self.cards.size, 2);
  assert.equal(self.lines.length, 1);
  assert.equal(self.lines[0].back, true);
  assert.deepEqual(overlaps(self.cards), []);
  assert.deepEqual(layOut([], "start").lines, []);
});

test("200 nodes are laid out while somebody types", () => {
  const nodes = graph(200, 11);
  layOut(nodes, "n0");
  const began = performance.now();
  layOut(nodes, "n0");
  const took = performance.now() - began;
  // 40 to 180 ms on two shared cores; a second would be a defect of another order.
  assert.ok(took < 1000, `${took.toFixed(0)} ms`);
});

test("a path begins at its first point and has a tip at its last", () => {
  const path = pathOf([[0, 0], [10, 0], [10, 0], [10, 30], [40, 30]]);
  assert.match(path, /^M0 0L/);
  assert.match(path, /L40 30M34 25\.5L39\.5 30L34 34\.5$/);
});
