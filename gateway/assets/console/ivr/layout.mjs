// Where the cards of a graph stand and how its lines run. Pure, and the same for the same graph: nobody stores places.
//
// Layers from left to right (after Sugiyama, Tagawa and Toda, 1981): lines that lead back are set aside, a node stands
// right of all that lead to it, lines over several layers get a place in each of them, layers are ordered by the mean
// of their neighbours, heights follow the ports that lead there. Lines run along the axes in tracks of their own; lines
// with one end share a track, so that twenty ways to one exit are one line. Lines that lead back leave below their card,
// run to the left as others run to the right, and come in from below.

export const CARD_WIDTH = 232;
export const HEAD_HEIGHT = 62;
export const ROW_HEIGHT = 26;
const IN_OFFSET = 24; // where lines come in, below the top of a card
const CARD_GAP = 30;
const LINE_GAP = 14;
const TRACK = 12;
const GAP_PAD = 26;
const SLOT = 10; // lines below a card, that lead back
const COMPONENT_GAP = 64;
const SWEEPS = 12;

/** How tall a card with so many ports is. A single port needs no row: it stands beside the name. */
export function cardHeight(ports) {
  return HEAD_HEIGHT + (ports > 1 ? ports * ROW_HEIGHT : 0);
}

/** How far below a card's top its port of that place is. */
export function portOffset(at, ports) {
  return ports > 1 ? HEAD_HEIGHT + at * ROW_HEIGHT + ROW_HEIGHT / 2 : IN_OFFSET;
}

/**
 * Lays a graph out: `nodes` is `[{id, ports: [{key, target}]}]`, `start` the node it begins with.
 *
 * Gives `{cards: Map(id → {x, y, width, height, rank}), lines: [{from, key, to, back, points}], width, height}`. Ports
 * that lead to no node have no line.
 */
export function layOut(nodes, start) {
  const graph = read(nodes, start);
  const cards = new Map();
  const lines = [];
  let top = 0;
  let width = 0;
  for (const part of components(graph)) {
    const placed = placePart(graph, part);
    for (const [id, card] of placed.cards) cards.set(id, { ...card, y: card.y + top });
    for (const line of placed.lines) lines.push({ ...line, points: line.points.map(([x, y]) => [x, y + top]) });
    top += placed.height + COMPONENT_GAP;
    width = Math.max(width, placed.width);
  }
  return { cards, lines, width, height: Math.max(0, top - COMPONENT_GAP) };
}

// ---- the graph ------------------------------------------------------------------------------------------------------

function read(nodes, start) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const order = []; // as met on the way from the start
  const back = new Set(); // "from\0key" of lines that lead back
  const state = new Map(); // 1 while on the path, 2 after
  const visit = (first) => {
    if (state.has(first)) return;
    const stack = [[first, 0]];
    state.set(first, 1);
    order.push(first);
    while (stack.length > 0) {
      const top = stack.at(-1);
      const port = byId.get(top[0]).ports[top[1]];
      top[1] += 1;
      if (port === undefined) {
        state.set(top[0], 2);
        stack.pop();
      } else if (byId.has(port.target)) {
        if (state.get(port.target) === 1) back.add(`${top[0]}\0${port.key}`);
        if (!state.has(port.target)) {
          state.set(port.target, 1);
          order.push(port.target);
          stack.push([port.target, 0]);
        }
      }
    }
  };
  if (byId.has(start)) visit(start);
  // What nothing leads to begins ways of its own; circles that nothing leads to come last.
  const led = new Set(nodes.flatMap((node) => node.ports.map((port) => port.target)));
  const left = nodes.map((node) => node.id).sort();
  for (const id of left) if (!led.has(id)) visit(id);
  for (const id of left) visit(id);
  const forward = new Map(order.map((id) => [id, []]));
  const backward = [];
  for (const id of order) {
    byId.get(id).ports.forEach((port, at) => {
      if (!byId.has(port.target)) return;
      const line = { from: id, at, key: port.key, to: port.target };
      if (back.has(`${id}\0${port.key}`)) backward.push(line);
      else forward.get(id).push(line);
    });
  }
  return { byId, order, forward, backward, backs: new Set(backward), start };
}

/** Parts that nothing connects, that of the start first. */
function components({ order, forward, backward }) {
  const leader = new Map(order.map((id) => [id, id]));
  const find = (id) => {
    let root = id;
    while (leader.get(root) !== root) root = leader.get(root);
    leader.set(id, root);
    return root;
  };
  for (const { from, to } of [...[...forward.values()].flat(), ...backward]) leader.set(find(to), find(from));
  const parts = new Map();
  for (const id of order) {
    const root = find(id);
    if (!parts.has(root)) parts.set(root, []);
    parts.get(root).push(id);
  }
  return parts.values();
}

function ranksOf({ forward, start }, part) {
  const waits = new Map(part.map((id) => [id, 0]));
  for (const id of part) for (const { to } of forward.get(id)) waits.set(to, waits.get(to) + 1);
  const roots = part.filter((id) => waits.get(id) === 0);
  const rank = new Map(part.map((id) => [id, 0]));
  const open = [...roots];
  while (open.length > 0) {
    const id = open.shift();
    for (const { to } of forward.get(id)) {
      rank.set(to, Math.max(rank.get(to), rank.get(id) + 1));
      waits.set(to, waits.get(to) - 1);
      if (waits.get(to) === 0) open.push(to);
    }
  }
  // What nothing leads to stands just before what it leads to.
  for (const id of roots) {
    const targets = forward.get(id).map(({ to }) => rank.get(to));
    if (id !== start && targets.length > 0) rank.set(id, Math.max(0, Math.min(...targets) - 1));
  }
  return rank;
}

// ---- layers ---------------------------------------------------------------------------------------------------------

/**
 * Layers of items: cards, and places of passing lines. An item's `ins` and `outs` are `{item, mine, offset, back}`: the
 * item at the other end, and how far below the tops of this one and of that one the line runs.
 */
function layersOf(graph, part, rank) {
  const layers = Array.from({ length: Math.max(...rank.values()) + 1 }, () => []);
  const items = new Map();
  const item = (key, at, more) => {
    if (!items.has(key)) {
      items.set(key, { key, id: null, rank: at, height: 2, slots: new Map(), ins: [], outs: [], place: 0, y: 0, ...more });
      layers[at].push(items.get(key));
    }
    return items.get(key);
  };
  const card = (id) => item(id, rank.get(id), { id, ports: graph.byId.get(id).ports.length });
  const between = (word, target, from, to) => {
    const all = [];
    for (let at = from + 1; at < to; at += 1) all.push(item(`${at}\0${word}\0${target}`, at));
    return all;
  };
  const chains = new Map();
  for (const id of part) {
    const own = card(id);
    for (const line of graph.forward.get(id)) {
      const chain = [own, ...between("forth", line.to, rank.get(id), rank.get(line.to)), card(line.to)];
      chains.set(line, chain);
    }
  }
  for (const line of graph.backward) {
    if (!rank.has(line.from)) continue;
    const [from, to] = [card(line.from), card(line.to)];
    slot(to, "");
    if (from !== to) slot(from, line.to);
    chains.set(line, from === to ? [to] : [to, ...between("back", line.to, to.rank, from.rank), from]);
  }
  for (const each of items.values()) if (each.id !== null) each.height = cardHeight(each.ports) + (each.slots.size > 0 ? 5 + SLOT * each.slots.size : 0);
  for (const [line, chain] of chains) link(chain, ends(line, chain), graph.backs.has(line));
  for (const layer of layers) layer.forEach((each, place) => { each.place = place; });
  return { layers, chains };
}

/** A line below a card; the first one is that of lines which lead back to it. */
function slot(card, target) {
  if (!card.slots.has(target)) card.slots.set(target, card.slots.size);
}

function slotOffset(card, target) {
  return cardHeight(card.ports) + 9 + SLOT * card.slots.get(target);
}

/** How far below the tops of its first and last items a line runs, as it is drawn from left to right. */
function ends(line, chain) {
  const [first, last] = [chain[0], chain.at(-1)];
  if (first.id === line.from && last.id === line.to && chain.length > 1) return [portOffset(line.at, first.ports), IN_OFFSET];
  return [slotOffset(first, ""), first === last ? slotOffset(first, "") : slotOffset(last, line.to)];
}

function link(chain, [from, to], back) {
  for (let step = 1; step < chain.length; step += 1) {
    const [left, right] = [chain[step - 1], chain[step]];
    const mine = step === 1 ? from : 1;
    const offset = step === chain.length - 1 ? to : 1;
    if (left.outs.some((out) => out.item === right && out.mine === mine && out.offset === offset)) continue;
    left.outs.push({ item: right, mine, offset, back });
    right.ins.push({ item: left, mine: offset, offset: mine, back });
  }
}

/** Orders each layer by the mean of its neighbours, forth and back; the order with the fewest crossings stays. */
function order(layers) {
  let best = { crossings: crossingsOf(layers), places: layers.map((layer) => [...layer]) };
  for (let sweep = 0; sweep < SWEEPS && best.crossings > 0; sweep += 1) {
    const side = sweep % 2 === 0 ? "ins" : "outs";
    const turn = sweep % 2 === 0 ? layers : [...layers].reverse();
    for (const layer of turn) sortLayer(layer, side);
    const crossings = crossingsOf(layers);
    if (crossings < best.crossings) best = { crossings, places: layers.map((layer) => [...layer]) };
  }
  best.places.forEach((places, at) => { layers[at].splice(0, places.length, ...places); });
  for (const layer of layers) layer.forEach((item, place) => { item.place = place; });
}

function sortLayer(layer, side) {
  const means = new Map(layer.map((item) => [item, meanPlace(item, side)]));
  layer.sort((a, b) => means.get(a) - means.get(b) || a.place - b.place);
  layer.forEach((item, place) => { item.place = place; });
}

function meanPlace(item, side) {
  const ends = item[side];
  if (ends.length === 0) return item.place;
  // A port further down counts as a little further down.
  return ends.reduce((sum, end) => sum + end.item.place + (end.offset / (end.item.height + 1)), 0) / ends.length;
}

function crossingsOf(layers) {
  let crossings = 0;
  for (let at = 0; at + 1 < layers.length; at += 1) {
    const lines = [];
    for (const item of layers[at]) for (const out of item.outs) lines.push([item.place + out.mine / (item.height + 1), out.item.place]);
    lines.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    // How many of those before end further down, by a tree of counts (Fenwick).
    const size = layers[at + 1].length;
    const counts = new Uint32Array(size + 1);
    lines.forEach(([, to], before) => {
      let upTo = 0;
      for (let place = to + 1; place > 0; place -= place & -place) upTo += counts[place];
      crossings += before - upTo;
      for (let place = to + 1; place <= size; place += place & -place) counts[place] += 1;
    });
  }
  return crossings;
}

// ---- heights --------------------------------------------------------------------------------------------------------

function placeHeights(layers) {
  for (const layer of layers) pack(layer, layer.map(() => 0));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forth = sweep % 2 === 0;
    const turn = forth ? layers : [...layers].reverse();
    for (const layer of turn) pack(layer, layer.map((item) => wanted(item, forth ? item.ins : item.outs)));
  }
  // Forth once more: a line that could be straight is.
  for (const layer of layers) pack(layer, layer.map((item) => wanted(item, item.ins)));
}

function wanted(item, all) {
  // What leads back must not bend what leads on.
  const forth = all.filter((end) => !end.back);
  const ends = forth.length > 0 ? forth : all;
  if (ends.length === 0) return item.y;
  return ends.reduce((sum, end) => sum + end.item.y + end.offset - end.mine, 0) / ends.length;
}

/** Puts items as near to where they want to be as their order and gaps allow (least squares, pooled violators). */
function pack(layer, wants) {
  const pools = []; // neighbours that want to stand in each other's place move as one
  const below = []; // how far an item must stand below the first
  layer.forEach((item, at) => {
    below.push(at === 0 ? 0 : below[at - 1] + layer[at - 1].height + gap(layer[at - 1], item));
    const pool = { mean: wants[at] - below[at], weight: item.id === null ? 3 : 1, from: at };
    while (pools.length > 0 && pools.at(-1).mean >= pool.mean) {
      const above = pools.pop();
      const both = above.weight + pool.weight;
      pool.mean = (above.mean * above.weight + pool.mean * pool.weight) / both;
      pool.weight = both;
      pool.from = above.from;
    }
    pools.push(pool);
  });
  pools.forEach(({ mean, from }, at) => {
    const end = pools[at + 1]?.from ?? layer.length;
    for (let place = from; place < end; place += 1) layer[place].y = Math.round(mean + below[place]);
  });
}

function gap(above, below) {
  return above.id === null && below.id === null ? LINE_GAP : above.id === null || below.id === null ? CARD_GAP - 8 : CARD_GAP;
}

// ---- lines ----------------------------------------------------------------------------------------------------------

function placePart(graph, part) {
  const rank = ranksOf(graph, part);
  const { layers, chains } = layersOf(graph, part, rank);
  order(layers);
  placeHeights(layers);
  const gaps = gapsOf(layers, chains, graph.backs);
  // Gap 0 lies left of the first layer.
  const lefts = [];
  let x = gaps[0].count > 0 ? widthOf(gaps[0]) : 0;
  for (let at = 0; at < layers.length; at += 1) {
    lefts.push(x);
    x += CARD_WIDTH + widthOf(gaps[at + 1]);
  }
  const bend = (at, key) => {
    const track = gaps[at].tracks.get(key);
    return track === undefined ? null : (at === 0 ? 0 : lefts[at - 1] + CARD_WIDTH) + GAP_PAD + track * TRACK;
  };
  const lines = [...chains].map(([line, chain]) => {
    const back = graph.backs.has(line);
    return { ...named(line, back), points: (back ? backPoints : forthPoints)(line, chain, lefts, bend) };
  });
  return settle(layers, lefts, lines);
}

function named({ from, key, to }, back) {
  return { from, key, to, back };
}

function widthOf({ count }) {
  return 2 * GAP_PAD + Math.max(0, count - 1) * TRACK;
}

/** What runs up and down in each gap: `lefts` and `rights` are the heights of lines that meet it from either side. */
function gapsOf(layers, chains, backs) {
  const groups = Array.from({ length: layers.length + 1 }, () => new Map());
  const meet = (at, key, side, y) => {
    if (!groups[at].has(key)) groups[at].set(key, { key, lefts: [], rights: [] });
    groups[at].get(key)[side].push(y);
  };
  for (const layer of layers) {
    for (const item of layer) {
      for (const end of item.ins) {
        // Lines that lead on meet where they end, those that lead back where those end.
        const key = end.back ? backKey(end.item) : item.key;
        meet(item.rank, key, "lefts", end.item.y + end.offset);
        meet(item.rank, key, "rights", item.y + end.mine);
      }
    }
  }
  for (const [line, chain] of chains) {
    if (!backs.has(line)) continue;
    const [to, from] = [chain[0], chain.at(-1)];
    meet(to.rank, intoKey(to), "rights", to.y + slotOffset(to, ""));
    meet(to.rank, intoKey(to), "rights", to.y + IN_OFFSET);
    meet(from.rank + 1, hookKey(from, to), "lefts", from.y + portOffset(line.at, from.ports));
    meet(from.rank + 1, hookKey(from, to), "lefts", from.y + slotOffset(from, from === to ? "" : to.id));
  }
  return groups.map((all) => assignTracks([...all.values()]));
}

function backKey(left) {
  return `\0back\0${left.key}`;
}

function intoKey(to) {
  return `\0into\0${to.key}`;
}

function hookKey(from, to) {
  return `\0hook\0${from.key}\0${to.key}`;
}

/** A track for each group of a gap, such that few lines cross. */
function assignTracks(groups) {
  const bent = groups.map((group) => {
    const all = [...group.lefts, ...group.rights];
    return { ...group, top: Math.min(...all), bottom: Math.max(...all) };
  }).filter((group) => group.bottom - group.top > 0.5);
  bent.sort((a, b) => a.top - b.top || a.bottom - b.bottom);
  const inOrder = [];
  for (const group of bent) {
    let place = inOrder.length;
    let cost = 0;
    let least = 0;
    for (let at = inOrder.length - 1; at >= 0; at -= 1) {
      cost += crossed(group, inOrder[at]) - crossed(inOrder[at], group);
      if (cost < least) [least, place] = [cost, at];
    }
    inOrder.splice(place, 0, group);
  }
  const tracks = new Map();
  let count = 0;
  inOrder.forEach((group, at) => {
    let track = 0;
    for (const other of inOrder.slice(0, at)) {
      const apart = other.bottom + 4 < group.top || group.bottom + 4 < other.top;
      if (!apart) track = Math.max(track, tracks.get(other.key) + 1);
    }
    tracks.set(group.key, track);
    count = Math.max(count, track + 1);
  });
  return { tracks, count };
}

/** Crossings when `left` has its track left of that of `right`. */
function crossed(left, right) {
  const through = (ys, { top, bottom }) => ys.filter((y) => top < y && y < bottom).length;
  return through(left.rights, right) + through(right.lefts, left);
}

function forthPoints(line, chain, lefts, bend) {
  const [from, to] = ends(line, chain);
  let y = chain[0].y + from;
  const points = [[lefts[chain[0].rank] + CARD_WIDTH, y]];
  chain.slice(1).forEach((item, at) => {
    const next = item.y + (at === chain.length - 2 ? to : 1);
    const x = bend(item.rank, item.key);
    if (x !== null && next !== y) points.push([x, y], [x, next]);
    y = next;
  });
  points.push([lefts[chain.at(-1).rank], y]);
  return points;
}

function backPoints(line, chain, lefts, bend) {
  const [to, from] = [chain[0], chain.at(-1)];
  const [left, right] = ends(line, chain);
  const port = from.y + portOffset(line.at, from.ports);
  const hook = bend(from.rank + 1, hookKey(from, to));
  let y = from.y + right;
  const points = [[lefts[from.rank] + CARD_WIDTH, port], [hook, port], [hook, y]];
  for (let at = chain.length - 2; at >= 0; at -= 1) {
    const next = chain[at].y + (at === 0 ? left : 1);
    const x = bend(chain[at].rank + 1, backKey(chain[at]));
    if (x !== null && next !== y) points.push([x, y], [x, next]);
    y = next;
  }
  const into = bend(to.rank, intoKey(to));
  points.push([into, y], [into, to.y + IN_OFFSET], [lefts[to.rank], to.y + IN_OFFSET]);
  return points;
}

/** Moves everything to the right of and below zero. */
function settle(layers, lefts, lines) {
  const cards = layers.flat().filter((item) => item.id !== null);
  const ys = [...cards.flatMap((item) => [item.y, item.y + item.height]), ...lines.flatMap(({ points }) => points.map(([, y]) => y))];
  const xs = [...cards.map((item) => lefts[item.rank] + CARD_WIDTH), ...lines.flatMap(({ points }) => points.map(([x]) => x))];
  const top = Math.min(...ys);
  const placed = new Map(cards.map((item) => [item.id, {
    x: lefts[item.rank], y: item.y - top, width: CARD_WIDTH, height: cardHeight(item.ports), rank: item.rank,
  }]));
  const moved = lines.map((line) => ({ ...line, points: line.points.map(([x, y]) => [x, y - top]) }));
  return { cards: placed, lines: moved, width: Math.max(...xs), height: Math.max(...ys) - top };
}

/** A line's points as an SVG path with round corners, and a tip where it ends. */
export function pathOf(points, radius = 9) {
  const [first, ...rest] = points.filter(([x, y], at) => at === 0 || x !== points[at - 1][0] || y !== points[at - 1][1]);
  let path = `M${first[0]} ${first[1]}`;
  let before = first;
  rest.forEach((corner, at) => {
    const next = rest[at + 1];
    if (!next) {
      path += `L${corner[0]} ${corner[1]}`;
      return;
    }
    const near = (to) => {
      const length = Math.hypot(to[0] - corner[0], to[1] - corner[1]);
      const part = Math.min(radius, length / 2) / (length || 1);
      return [corner[0] + (to[0] - corner[0]) * part, corner[1] + (to[1] - corner[1]) * part];
    };
    const [from, to] = [near(before), near(next)];
    path += `L${from[0]} ${from[1]}Q${corner[0]} ${corner[1]} ${to[0]} ${to[1]}`;
    before = corner;
  });
  const [x, y] = points.at(-1);
  return `${path}M${x - 6} ${y - 4.5}L${x - 0.5} ${y}L${x - 6} ${y + 4.5}`;
}
