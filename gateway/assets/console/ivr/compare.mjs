// What differs between two forms of an IVR, node by node. Pure.

/** Equal as documents: the order of keys says nothing. */
export function same(a, b) {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object" || Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

/** `[{what: "added" | "removed" | "changed", id, fields}]`; an empty id stands for the IVR itself. */
export function compare(before, after) {
  const found = [];
  const own = ["name", "kind", "start"].filter((field) => !same(before[field] ?? null, after[field] ?? null));
  if (own.length > 0) found.push({ what: "changed", id: "", fields: own });
  const ids = [...new Set([...Object.keys(before.nodes), ...Object.keys(after.nodes)])].sort();
  for (const id of ids) {
    const [was, is] = [before.nodes[id], after.nodes[id]];
    const noted = (before.descriptions?.[id] ?? "") !== (after.descriptions?.[id] ?? "");
    if (was === undefined) found.push({ what: "added", id, fields: [] });
    else if (is === undefined) found.push({ what: "removed", id, fields: [] });
    else if (!same(was, is) || noted) {
      const fields = [...new Set([...Object.keys(was), ...Object.keys(is)])].filter((field) => !same(was[field] ?? null, is[field] ?? null));
      found.push({ what: "changed", id, fields: noted ? [...fields, "note"] : fields });
    }
  }
  return found;
}
