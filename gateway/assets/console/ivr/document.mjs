// What can be done to an IVR document. Pure: every function takes a document and gives another one back, which shares
// with the first whatever did not change. No page, no network; `schema` is what /api/v1/routing/nodes says.

/** Longest name of a node. */
export const NAME_MAX = 64;

/** Kinds by type. */
export function kinds(schema) {
  return new Map(schema.kinds.map((kind) => [kind.type, kind]));
}

// ---- transitions ----------------------------------------------------------------------------------------------------

/**
 * The transitions of a node as ports, in the order in which they are shown.
 *
 * A port's `key` names it within its node; `by` is its name in traces; `target` is "" where it leads nowhere yet.
 */
export function ports(node, kind) {
  const all = [];
  for (const transition of kind?.transitions ?? []) {
    const { name, title } = transition;
    switch (transition.form) {
      case "by_key":
        for (const key of sortedKeys(node[name] ?? {})) all.push(port([name, key], key, key, node[name][key]));
        break;
      case "by_calendar_row":
        for (const row of Object.keys(node[name] ?? {})) all.push(port([name, row], row, row, node[name][row]));
        break;
      case "rows":
        (node[name] ?? []).forEach((row, at) => all.push(port([name, at, "next"], row.when?.name ?? "", row.when?.name || "(no name)", row.next)));
        break;
      case "patterns":
        (node[name] ?? []).forEach((row, at) => all.push(port([name, at, "next"], row.pattern ?? "", row.pattern || "(empty)", row.next)));
        break;
      default:
        all.push(port([name], name, title, node[name] ?? "", { optional: Boolean(transition.optional) }));
    }
  }
  return all;
}

function port(path, by, title, target, more = {}) {
  const key = path.map((step) => String(step).replaceAll("~", "~0").replaceAll("/", "~1")).join("/");
  return { path, key, by, title, target: target ?? "", optional: false, ...more };
}

// 1 2 3 … 9 0 * #, as on a telephone.
const KEYS = "1234567890*#";

function sortedKeys(choices) {
  const place = (key) => (KEYS.indexOf(key) + KEYS.length + 1) % (KEYS.length + 1);
  return Object.keys(choices).sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
}

/** The first telephone key that a menu does not use yet; none when all are taken. */
export function freeKey(choices) {
  return [...KEYS].find((key) => !(key in choices)) ?? null;
}

/** The node with one port leading elsewhere; an optional one that leads nowhere is left out. */
export function withTarget(node, { path, optional }, target) {
  return set(node, path, target === "" && optional ? undefined : target);
}

function set(value, [step, ...rest], to) {
  const copy = Array.isArray(value) ? [...value] : { ...value };
  if (rest.length > 0) copy[step] = set(copy[step] ?? {}, rest, to);
  else if (to === undefined) delete copy[step];
  else copy[step] = to;
  return copy;
}

/** Where every port of every node leads to one of `ids`: `[{from, port}]`. */
export function pointers(doc, schema, ids) {
  const wanted = new Set([ids].flat());
  const known = kinds(schema);
  const found = [];
  for (const [from, node] of Object.entries(doc.nodes)) {
    for (const each of ports(node, known.get(node.type))) if (wanted.has(each.target)) found.push({ from, port: each });
  }
  return found;
}

// ---- the whole document ---------------------------------------------------------------------------------------------

/** What is wrong with a name for a node; null when it may be used. */
export function nameFault(doc, name, but = null) {
  if (name === "") return "A node needs a name.";
  if (new TextEncoder().encode(name).length > NAME_MAX) return `A name has at most ${NAME_MAX} characters.`;
  if (name === "__proto__") return "This name cannot be used.";
  if (/[/\n]/.test(name)) return "A name has no slash and no line break.";
  if (name !== but && Object.hasOwn(doc.nodes, name)) return "Another node has this name.";
  return null;
}

/** A name like `base` that no node has. */
export function freshName(doc, base, taken = new Set()) {
  const free = (name) => !Object.hasOwn(doc.nodes, name) && !taken.has(name);
  if (free(base)) return base;
  const stem = base.replace(/_\d+$/, "").slice(0, NAME_MAX - 6);
  for (let number = 2; ; number += 1) if (free(`${stem}_${number}`)) return `${stem}_${number}`;
}

/** A node of a kind as it is added: what must be there is there, even if empty. */
export function newNode(kind) {
  const node = { type: kind.type };
  for (const field of kind.fields) {
    if ("new" in field) node[field.name] = field.new;
    else if (!("default" in field)) node[field.name] = field.form === "whole" ? field.minimum : "";
  }
  for (const { name, form, optional } of kind.transitions) {
    if (form === "by_key") node[name] = { 1: "" };
    else if (form === "patterns") node[name] = [];
    else if (!form && !optional) node[name] = "";
  }
  return node;
}

function withNodes(doc, changes) {
  const nodes = { ...doc.nodes };
  for (const [id, node] of Object.entries(changes)) {
    if (node === undefined) delete nodes[id];
    else nodes[id] = node;
  }
  return { ...doc, nodes };
}

/** Puts one node's new form into the document. */
export function putNode(doc, id, node) {
  return withNodes(doc, { [id]: node });
}

/** Leads one port of a node elsewhere. */
export function connect(doc, id, at, target) {
  return putNode(doc, id, withTarget(doc.nodes[id], at, target));
}

/**
 * Adds a node; `{from, at}` puts it behind that port, in front of what the port led to.
 * Gives the document and the node's name.
 */
export function addNode(doc, schema, type, after = null, name = null) {
  const kind = kinds(schema).get(type);
  const id = name ?? freshName(doc, type);
  let node = newNode(kind);
  let next = doc;
  if (after) {
    const first = ports(node, kind).find((each) => !each.optional && !each.key.startsWith("choices")) ?? null;
    if (first && after.at.target) node = withTarget(node, first, after.at.target);
    next = connect(next, after.from, after.at, id);
  }
  next = putNode(next, id, node);
  if (!Object.hasOwn(doc.nodes, startOf(doc))) next = { ...next, start: id };
  return { doc: next, id };
}

/** The node an IVR begins with. */
export function startOf(doc) {
  return doc.start ?? "start";
}

/**
 * Removes nodes. With `heal`, what led to one leads to where the first transition of that one led; else nowhere.
 */
export function removeNodes(doc, schema, ids, heal = false) {
  const gone = new Set(ids);
  const known = kinds(schema);
  const behind = (id, seen = new Set()) => {
    if (!gone.has(id)) return id;
    if (!heal || seen.has(id)) return "";
    seen.add(id);
    return behind(ports(doc.nodes[id], known.get(doc.nodes[id].type))[0]?.target ?? "", seen);
  };
  const changes = Object.fromEntries([...gone].map((id) => [id, undefined]));
  for (const { from, port: at } of pointers(doc, schema, ids)) {
    if (!gone.has(from)) changes[from] = withTarget(changes[from] ?? doc.nodes[from], at, behind(at.target));
  }
  const next = withNodes(doc, changes);
  const start = startOf(doc);
  if (gone.has(start)) next.start = behind(start);
  return withDescriptions(next, (all) => Object.fromEntries(Object.entries(all).filter(([id]) => !gone.has(id))));
}

function withDescriptions(doc, change) {
  const all = change(doc.descriptions ?? {});
  const { descriptions: _, ...rest } = doc;
  return Object.keys(all).length > 0 ? { ...rest, descriptions: all } : rest;
}

/** Says something about a node; an empty text says nothing any more. */
export function describe(doc, id, text) {
  return withDescriptions(doc, (all) => {
    const { [id]: _, ...rest } = all;
    return text === "" ? rest : { ...rest, [id]: text };
  });
}

/** Gives a node another name, everywhere it is named. */
export function renameNode(doc, schema, from, to) {
  if (from === to) return doc;
  const renamed = new Map([[from, to]]);
  const nodes = {};
  // In the place of the old name, so that nothing else moves.
  for (const [id, node] of Object.entries(doc.nodes)) nodes[id === from ? to : id] = retarget(node, schema, renamed);
  const next = withDescriptions({ ...doc, nodes }, (all) =>
    Object.fromEntries(Object.entries(all).map(([id, text]) => [id === from ? to : id, text])));
  return startOf(doc) === from ? { ...next, start: to } : next;
}

function retarget(node, schema, renamed) {
  let next = node;
  for (const each of ports(node, kinds(schema).get(node.type))) {
    if (renamed.has(each.target)) next = withTarget(next, each, renamed.get(each.target));
  }
  return next;
}

// ---- copies ---------------------------------------------------------------------------------------------------------

/** Nodes as text, for the clipboard. */
export function copyNodes(doc, ids) {
  const nodes = Object.fromEntries(ids.map((id) => [id, doc.nodes[id]]));
  const descriptions = Object.fromEntries(ids.filter((id) => doc.descriptions?.[id]).map((id) => [id, doc.descriptions[id]]));
  return JSON.stringify({ vestibule_nodes: nodes, descriptions }, null, 2);
}

/**
 * Puts copied nodes in, under new names where theirs are taken. Transitions among them stay among them; those to nodes
 * that are not here lead nowhere. Gives the document and the names, or null when the text holds no nodes.
 */
export function pasteNodes(doc, schema, text) {
  const copied = readCopied(text, schema);
  if (!copied) return null;
  const renamed = new Map();
  const taken = new Set();
  for (const id of Object.keys(copied.nodes)) {
    const name = freshName(doc, id, taken);
    taken.add(name);
    renamed.set(id, name);
  }
  let next = doc;
  for (const [id, node] of Object.entries(copied.nodes)) {
    let fresh = retarget(node, schema, renamed);
    for (const each of ports(fresh, kinds(schema).get(fresh.type))) {
      if (each.target && !taken.has(each.target) && !Object.hasOwn(doc.nodes, each.target)) fresh = withTarget(fresh, each, "");
    }
    next = putNode(next, renamed.get(id), fresh);
    if (copied.descriptions[id]) next = describe(next, renamed.get(id), copied.descriptions[id]);
  }
  return { doc: next, ids: [...renamed.values()] };
}

function readCopied(text, schema) {
  let value = null;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // Something else was copied.
  }
  const nodes = value?.vestibule_nodes;
  const known = kinds(schema);
  const good = (node) => node !== null && typeof node === "object" && known.has(node.type);
  if (nodes === null || typeof nodes !== "object" || !Object.values(nodes).every(good) || Object.keys(nodes).length === 0) return null;
  const descriptions = {};
  for (const [id, said] of Object.entries(value.descriptions ?? {})) if (typeof said === "string") descriptions[id] = said;
  return { nodes, descriptions };
}

/** A second one of each node, beside the first. */
export function duplicateNodes(doc, schema, ids) {
  return pasteNodes(doc, schema, copyNodes(doc, ids));
}

// ---- what is seen at once -------------------------------------------------------------------------------------------

/** Nodes that a call can reach. */
export function reachable(doc, schema) {
  const known = kinds(schema);
  const reached = new Set();
  const open = [startOf(doc)];
  while (open.length > 0) {
    const id = open.pop();
    if (reached.has(id) || !Object.hasOwn(doc.nodes, id)) continue;
    reached.add(id);
    for (const each of ports(doc.nodes[id], known.get(doc.nodes[id].type))) open.push(each.target);
  }
  return reached;
}

/** Ports that lead nowhere, which the gateway will say too: `[{id, port}]`. */
export function dangling(doc, schema) {
  const known = kinds(schema);
  const found = [];
  for (const [id, node] of Object.entries(doc.nodes)) {
    for (const each of ports(node, known.get(node.type))) {
      const left = each.optional && each.target === "";
      if (!left && !Object.hasOwn(doc.nodes, each.target)) found.push({ id, port: each });
    }
  }
  return found;
}

/** One line that says what a node does. */
export function summary(node, kind) {
  const value = (name) => node[name] ?? kind?.fields.find((field) => field.name === name)?.default;
  switch (node.type) {
    case "message": return promptName(node.prompt) + (value("interruptible") ? "" : " · to its end");
    case "menu": return `${promptName(node.prompt)} · ${value("timeout_seconds")} s, ${value("retries") + 1}×`;
    case "input": return `${promptName(node.prompt)} · up to ${value("digits_max")} keys`;
    case "schedule": return node.calendar ? `calendar ${node.calendar}` : counted(node.rows?.length ?? 0, "row");
    case "match": return node.value || "no text yet";
    case "caller_match": return callerSummary(node);
    case "block_list": return node.list ? `list ${node.list}` : "no list yet";
    case "percent_split": return `${value("percent")} % to ${100 - value("percent")} %`;
    case "loop_guard": return `at most ${counted(value("times_max"), "time")}`;
    case "data_dip": return node.url ? `${node.post ? "POST" : "GET"} ${node.url}` : "no URL yet";
    case "set_variable": return node.name ? `${node.name} = ${node.value}` : "no variable yet";
    case "send_sms": return node.text || "no text yet";
    case "sub_ivr": return node.ivr || "no IVR yet";
    case "wait_music": return `for ${value("seconds")} s`;
    case "change_priority": return `to ${value("priority")}`;
    case "move_inbox": return node.inbox ? `to ${node.inbox}` : "no inbox yet";
    case "callback": return `${counted(value("attempts"), "attempt")} within ${value("window_hours")} h`;
    case "voicemail": return node.inbox ? `for ${node.inbox} · up to ${value("seconds_max")} s` : "no inbox yet";
    case "forward": return node.to ? `to ${node.to}` : "no target yet";
    case "hang_up": return node.prompt ? promptName(node.prompt) : value("sip_status") === 200 ? "ends the call" : `SIP ${value("sip_status")}`;
    default: return kind?.says ?? "";
  }
}

function promptName(prompt) {
  return prompt ? prompt.replace(/^builtin:/, "♪ ") : "no prompt yet";
}

function callerSummary(node) {
  const parts = [];
  if (node.list) parts.push(`list ${node.list}`);
  if (node.prefixes?.length) parts.push(node.prefixes.join(", "));
  if (node.anonymous) parts.push("anonymous");
  if (node.attestation) parts.push(`attestation ${node.attestation}`);
  return parts.join(" · ") || "nobody yet";
}

function counted(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

// ---- findings of the gateway ----------------------------------------------------------------------------------------

/** Sorts findings by the node they are about: `{byNode: Map(id → findings with `at`), rest}`. */
export function sortFindings(findings, ivr) {
  const byNode = new Map();
  const rest = [];
  for (const finding of findings) {
    const steps = finding.path.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    const [section, id, part, node, ...at] = steps;
    if (section === "ivrs" && id === ivr && part === "nodes" && node !== undefined) {
      if (!byNode.has(node)) byNode.set(node, []);
      byNode.get(node).push({ ...finding, at });
    } else {
      rest.push({ ...finding, here: section === "ivrs" && id === ivr });
    }
  }
  return { byNode, rest };
}
