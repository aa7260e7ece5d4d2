// What a simulated call is made of, without a page: which second a key is pressed at, and the steps as they are shown.

/**
 * The second at which a key that is typed next is pressed: one after the call came to where it listens, or one after the
 * key before where several are asked for. `path` is what the simulation with the keys so far found.
 */
export function nextKeyAt(path, kindOf, keys) {
  const before = Object.keys(keys).map(Number).reduce((a, b) => Math.max(a, b), -1);
  const listens = (visit) => ["menu", "input", "callback", "voicemail"].includes(kindOf(visit));
  const at = (visit) => visit.at_ms / 1000;
  if (before >= 0) {
    const here = path.filter((visit) => at(visit) <= before).at(-1);
    const later = path.find((visit) => at(visit) > before);
    if (here && ["input", "callback"].includes(kindOf(here)) && (!later || at(later) > before + 1)) return before + 1;
  }
  const next = path.find((visit) => listens(visit) && at(visit) >= before);
  return next ? Math.max(Math.floor(at(next)) + 1, before + 1) : before + 1;
}

/** Steps with the place in the path of those that come to a node: `[{at_ms, what, visit}]`. */
export function stepsOf({ steps, path }) {
  let next = 0;
  return steps.map((step) => {
    const visit = path[next];
    const comes = visit && (step.what === `node ${visit.node} of ${visit.ivr}` || step.what.startsWith(`node ${visit.node} of ${visit.ivr} by `));
    if (comes) next += 1;
    return { ...step, visit: comes ? next - 1 : null };
  });
}

/** A moment of a call: `0:07`. */
export function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** How a simulated call ended, in a sentence. */
export function ended({ answered, refused_with: refused, exit, inbox, outcome }) {
  if (refused) return `Refused with ${refused}`;
  const where = [exit ? `by ${exit}` : null, inbox ? `to ${inbox}` : null].filter(Boolean).join(" ");
  const reason = String(outcome?.reason ?? "ended").replaceAll("_", " ");
  return `${answered ? "Answered" : "Not answered"}${where ? `, ${where}` : ""} · ${reason}`;
}

/** What a test of this call expects: what came of it now. */
export function expectation({ exit, inbox, refused_with: refused, outcome }) {
  const expect = {};
  if (exit) expect.exit = exit;
  if (inbox) expect.inbox = inbox;
  if (refused) expect.refused_with = refused;
  if (Object.keys(expect).length === 0 && outcome?.reason) expect.reason = outcome.reason;
  return expect;
}
