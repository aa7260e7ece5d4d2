// The page of an IVR: brings the editor, the draft, findings, the simulator, publishing and versions together.

import { address, ask, part } from "./api.mjs";
import { compare } from "./compare.mjs";
import { button, dialog, el } from "./dom.mjs";
import { Draft } from "./draft.mjs";
import "./editor.mjs";
import { Simulator, Tests } from "./simulator.mjs";

const FINDINGS_MS = 350;

const page = document.querySelector("[data-ivr]");
const { ivr } = page.dataset;
const mayEdit = page.dataset.mayEdit === "true";
const editor = page.querySelector("ivr-editor");
const stateLine = page.querySelector("[data-state]");
const notice = page.querySelector("[data-notice]");
const panel = page.querySelector("[data-panel]");

const SAID = { saved: "Saved in the draft", waits: "Not saved yet", saving: "Saving…", failed: "Not saved", conflict: "Changed by somebody else" };

function told(text, bad = false) {
  notice.textContent = text;
  notice.className = `flash ${bad ? "bad" : "good"}`;
  notice.hidden = text === "";
}

// ---- the draft ------------------------------------------------------------------------------------------------------

const draft = new Draft(ivr, (word, error) => {
  stateLine.textContent = SAID[word];
  stateLine.dataset.state = word;
  if (word === "failed") told(error.message, true);
  else if (word === "conflict") conflict(error.theirs);
  else if (word === "saved" && notice.classList.contains("bad")) told("");
});

function conflict(theirs) {
  if (document.querySelector("dialog[open].ivr-conflict")) return;
  const changes = theirs ? compare(theirs, editor.document) : [];
  dialog("Somebody else changed this IVR", (close) => [
    el("p", { text: theirs ? "While you were at it, somebody saved another form of it into the draft. Yours differs in:" : "While you were at it, somebody removed it from the draft." }),
    changeList(changes),
    el("div", { class: "ivr-acts" },
      theirs ? button("Take theirs", () => { close(); draft.settle(theirs); editor.replace(theirs, "took what somebody else has saved"); }, { class: "ivr-first" }) : null,
      button("Keep mine", () => { close(); draft.settle(theirs); draft.save(); })),
  ], { classes: "ivr-conflict" });
}

let findingsTimer = 0;
let asked = 0;

async function findings() {
  asked += 1;
  const mine = asked;
  try {
    const { body } = await ask("POST", `routing/draft/ivrs/${part(ivr)}/findings`, editor.document);
    if (mine === asked) editor.findings = body.diagnostics;
  } catch (error) {
    if (mine === asked) told(error.message, true);
  }
}

editor.addEventListener("ivr-change", ({ detail }) => {
  if (mayEdit) draft.want(detail.document);
  clearTimeout(findingsTimer);
  findingsTimer = setTimeout(findings, FINDINGS_MS);
});
editor.addEventListener("ivr-save", () => draft.save());
window.addEventListener("beforeunload", (event) => {
  if (!draft.isSaved) event.preventDefault();
});

// ---- listening ------------------------------------------------------------------------------------------------------

const player = new Audio();
editor.addEventListener("ivr-listen", async ({ detail }) => {
  player.src = address(`prompts/${part(detail.prompt)}/audio${detail.prompt.startsWith("builtin:") ? "" : "?draft=true"}`);
  try {
    await player.play();
  } catch {
    told(`${detail.prompt} cannot be played: it has no sound yet.`, true);
  }
});

// ---- versions -------------------------------------------------------------------------------------------------------

function changeList(changes) {
  if (changes.length === 0) return el("p", { class: "ivr-says", text: "No difference." });
  return el("ul", { class: "ivr-changes" }, ...changes.slice(0, 60).map(({ what, id, fields }) => el("li", { class: `ivr-${what}` },
    el("b", { text: id === "" ? "the IVR" : id }), el("span", { text: ` ${what}${fields.length > 0 ? `: ${fields.join(", ")}` : ""}` }))),
  changes.length > 60 ? el("li", { text: `and ${changes.length - 60} more` }) : null);
}

async function documentAt(revision) {
  const { body } = await ask("GET", `routing/revisions/${revision}`);
  return body.ivrs?.[ivr] ?? null;
}

function when(text) {
  return new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

/** Revisions in which this IVR is another one than in the revision before. */
async function versions() {
  const { body } = await ask("GET", "routing/revisions?limit=60");
  return body.revisions;
}

async function showVersions() {
  const list = el("ul", { class: "ivr-versions" }, el("li", { text: "Looking…" }));
  const shown = el("div", { class: "ivr-compared" });
  const { close } = dialog("Versions", (end) => [
    el("p", { class: "ivr-says", text: "Every publish is a revision. Restoring one puts its form of this IVR into the draft; publish it to make it active." }),
    list, shown, el("div", { class: "ivr-acts" }, button("Close", end, { class: "ivr-quiet" })),
  ], { classes: "ivr-wide" });
  try {
    const revisions = await versions();
    list.replaceChildren(...revisions.map((revision) => el("li", {},
      el("span", {}, el("b", { text: `Revision ${revision.number}` }), ` ${when(revision.created)} · ${revision.author}`, revision.note ? el("span", { class: "ivr-says", text: revision.note }) : null),
      button("Compare", async () => {
        const old = await documentAt(revision.number);
        shown.replaceChildren(el("h3", { text: `From revision ${revision.number} to the draft` }), old ? changeList(compare(old, editor.document)) : el("p", { text: "That revision has no such IVR." }));
      }, { "aria-label": `Compare revision ${revision.number} with the draft` }),
      mayEdit ? button("Restore", async () => {
        const old = await documentAt(revision.number);
        if (!old) {
          shown.replaceChildren(el("p", { text: "That revision has no such IVR." }));
          return;
        }
        close();
        editor.replace(old, `restored the form of revision ${revision.number}`);
        told(`The draft has the form of revision ${revision.number}. Z undoes it; publish it to make it active.`);
      }, { "aria-label": `Restore revision ${revision.number}` }) : null)));
  } catch (error) {
    list.replaceChildren(el("li", { text: error.message }));
  }
}

// ---- publishing -----------------------------------------------------------------------------------------------------

function touched({ live }) {
  const callers = live === 0 ? "No call is in progress." : `${live} ${live === 1 ? "call is" : "calls are"} in progress: they go on under the routing that they arrived under.`;
  return [callers, numbers.length > 0 ? `Numbers that lead here: ${numbers.slice(0, 8).join(", ")}${numbers.length > 8 ? ` and ${numbers.length - 8} more` : ""}.` : "No number leads here yet."];
}

/** What the draft changes, and what is wrong with it. */
async function impactOfDraft() {
  const [{ body: changes }, { body: judged }, { body: contacts }] = await Promise.all([
    ask("GET", "routing/draft/changes"), ask("POST", "routing/validate", ""), ask("GET", "contacts?state=live&channel=voice&limit=500").catch(() => ({ body: { contacts: [] } })),
  ]);
  return {
    draft_version: changes.version, live: contacts.contacts.length, diagnostics: judged.diagnostics, publishable: judged.publishable && changes.changes.length > 0,
    objects: changes.changes.map(({ key, body }) => ({ section: key.kind, id: key.id, change: body === null ? "removed" : "changed" })),
  };
}

async function publish() {
  if (!(await draft.save())) return;
  let impact = null;
  try {
    impact = await impactOfDraft();
  } catch (error) {
    told(error.message, true);
    return;
  }
  const errors = impact.diagnostics.filter((finding) => finding.severity === "error");
  const note = el("textarea", { rows: 2, "aria-label": "Note", autofocus: true, maxlength: 500, placeholder: "What changes, in a few words" });
  const fault = el("p", { class: "ivr-finding ivr-bad", hidden: true });
  dialog("Publish the draft", (close) => [
    impact.objects.length === 0 ? el("p", { text: "Nothing differs from what is active." }) : el("div", {},
      el("p", { text: `${impact.objects.length === 1 ? "One object changes" : `${impact.objects.length} objects change`}:` }),
      el("ul", { class: "ivr-changes" }, ...impact.objects.slice(0, 20).map((one) => el("li", { class: `ivr-${one.change}` }, el("b", { text: `${one.section}/${one.id}` }), ` ${one.change}`)))),
    ...touched(impact).map((text) => el("p", { class: "ivr-says", text })),
    ...errors.slice(0, 8).map((finding) => el("p", { class: "ivr-finding ivr-bad", text: `${finding.path}: ${finding.sentence}. ${finding.remedy}` })),
    errors.length > 0 ? el("p", { text: "Correct what is wrong first: nothing is published while errors exist." }) : note,
    fault,
    el("div", { class: "ivr-acts" },
      button("Publish", async () => {
        if (note.value.trim() === "") {
          fault.hidden = false;
          fault.textContent = "A publish takes a note.";
          note.focus();
          return;
        }
        try {
          const { body } = await ask("POST", "routing/publish", { note: note.value.trim() }, { tag: `"${impact.draft_version}"` });
          close();
          if (body.request) told(`It waits as request ${body.request.id} until somebody else approves it.`);
          else await afterPublish(body.revision);
        } catch (error) {
          fault.hidden = false;
          fault.textContent = [error.message, ...error.diagnostics.slice(0, 5).map((finding) => finding.sentence)].join(" ");
        }
      }, { class: "ivr-first", disabled: !impact.publishable }),
      button("Cancel", close, { class: "ivr-quiet" })),
  ]);
}

async function afterPublish(revision) {
  told(`Revision ${revision.number} is active. Calls that were inside go on as they began.`);
  const kept = editor.document;
  await draft.read();
  draft.want(kept);
  simulator.choices({ numbers, revisions: await versions() });
}

// ---- files ----------------------------------------------------------------------------------------------------------

async function exported() {
  const { body } = await ask("POST", "routing/convert", { version: 1, ivrs: { [ivr]: editor.document } }, { accept: "application/yaml" });
  const link = el("a", { href: URL.createObjectURL(new Blob([body], { type: "application/yaml" })), download: `${ivr}.yaml` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function imported(file) {
  try {
    const { body } = await ask("POST", "routing/convert", await file.text());
    const all = Object.entries(body.ivrs ?? {});
    const [id, doc] = all.find(([each]) => each === ivr) ?? all[0] ?? [];
    if (!doc) throw new Error(`${file.name} holds no IVR.`);
    editor.replace(doc, `imported ${file.name}`);
    told(`${file.name}: ${id} is in the draft in place of what was there. Z undoes it.`);
  } catch (error) {
    told(error.message, true);
  }
}

// ---- beginning ------------------------------------------------------------------------------------------------------

const simulator = new Simulator({ editor, ivr, mayEdit, told });
const tests = new Tests({ editor, ivr, mayEdit, told });
let numbers = [];

async function readTests() {
  const { body } = await ask("GET", "routing/draft/names");
  tests.show((body.tests ?? []).filter(({ call }) => numbers.includes(call.to)));
  return body;
}
simulator.added = async (name) => {
  await readTests();
  told(`The test "${name}" is in the draft. It runs before every publish.`);
};

function act(name, does) {
  page.querySelector(`[data-act="${name}"]`)?.addEventListener("click", does);
}

async function begin() {
  const [schema, doc, { body: all }] = await Promise.all([ask("GET", "routing/nodes"), draft.read(), ask("GET", "routing/draft/ivrs")]);
  numbers = all.ivrs.find((each) => each.id === ivr)?.numbers ?? [];
  editor.ivr = ivr;
  editor.schema = schema.body;
  editor.names = await readTests();
  editor.document = doc;
  stateLine.textContent = mayEdit ? SAID.saved : "You may look, but not edit";
  simulator.choices({ numbers, revisions: await versions() });
  panel.append(simulator.element, tests.element);
  await findings();
}

act("publish", publish);
act("versions", showVersions);
act("export", () => exported().catch((error) => told(error.message, true)));
act("import", () => {
  const file = el("input", { type: "file", accept: ".yaml,.yml,.json", on: { change: () => file.files[0] && imported(file.files[0]) } });
  file.click();
});
act("simulate", ({ currentTarget }) => {
  panel.hidden = !panel.hidden;
  currentTarget.setAttribute("aria-expanded", String(!panel.hidden));
  if (panel.hidden) simulator.hide();
  else simulator.run();
});

begin().catch((error) => told(error.message, true));
