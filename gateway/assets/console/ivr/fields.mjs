// The controls of the inspector, one for each form that a setting may have. A control is given its value and calls `set`
// with another one; undefined stands for "as usual": the setting is left out of the document. `typed` says that the value
// comes from typing, so that the control is not drawn anew under the writer's hands.

import { button, el, labelled } from "./dom.mjs";
import { icon } from "./icons.mjs";

const WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/** The control of a field: `at` is its place for the focus, `names` what may be referred to, `variables` what templates may name. */
export function fieldControl(field, value, set, { at, names, variables, listen }) {
  const says = field.says ?? null;
  const makers = {
    yes_no: () => yesNo(field, value, set, at),
    whole: () => labelled(field.title, whole(field, value, set, at), { unit: field.unit, says }),
    sip_status: () => labelled(field.title, whole({ ...field, minimum: 200, maximum: 699 }, value, set, at), { says }),
    key: () => labelled(field.title, keySelect(value ?? field.default, set, at), { says }),
    one_of: () => labelled(field.title, oneOf(field, value, set, at), { says }),
    prompt: () => promptControl(field, value, set, { at, names, listen }),
    inbox: () => labelled(field.title, reference(names.inboxes, value, set, at, field), { says }),
    list: () => labelled(field.title, reference(names.lists, value, set, at, field), { says }),
    calendar: () => labelled(field.title, reference(names.calendars, value, set, at, field), { says }),
    ivr: () => labelled(field.title, reference(names.ivrs, value, set, at, field), { says }),
    prefixes: () => labelled(field.title, prefixes(value, set, at), { says: "One beginning a line, such as +1212." }),
    texts_by_name: () => textsByName(field, value, set, at),
    template: () => template(field, value, set, { at, variables, tall: false }),
    long_template: () => template(field, value, set, { at, variables, tall: true }),
    text: () => labelled(field.title, textInput(value, set, at), { says }),
  };
  return (makers[field.form] ?? makers.text)();
}

function textInput(value, set, at, more = {}) {
  return el("input", { type: "text", value: value ?? "", autocomplete: "off", spellcheck: "false", data: { at }, on: { input: (event) => set(event.target.value, true) }, ...more });
}

function yesNo(field, value, set, at) {
  const box = el("input", { type: "checkbox", data: { at }, on: { change: (event) => set(event.target.checked === field.default ? undefined : event.target.checked) } });
  box.checked = value ?? field.default;
  return labelled(field.title, box, { says: field.says, inline: true });
}

function whole(field, value, set, at) {
  const usual = field.default;
  return el("input", {
    type: "number", inputmode: "numeric", min: field.minimum, max: field.maximum, step: 1, data: { at },
    value: value ?? "", placeholder: usual ?? "", on: {
      input: (event) => {
        const number = event.target.valueAsNumber;
        if (Number.isInteger(number)) set(number === usual ? undefined : number, true);
        else if (event.target.value === "" && usual !== undefined) set(undefined, true);
      },
    },
  });
}

function select(options, value, set, at, more = {}) {
  // As typed: whoever chooses by the first letters of a name goes on typing.
  const control = el("select", { data: { at }, on: { change: (event) => set(event.target.value, true) }, ...more }, ...options);
  control.value = value;
  return control;
}

function keySelect(value, set, at) {
  const keys = [..."0123456789*#"].map((key) => el("option", { value: key, text: key }));
  return select([el("option", { value: "", text: "none" }), ...keys], value, set, at);
}

function oneOf(field, value, set, at) {
  const options = field.values.map((each) => el("option", { value: each.value, text: each.title }));
  return select([el("option", { value: "", text: "any" }), ...options], value ?? "", (chosen) => set(chosen === "" ? undefined : chosen, true), at);
}

/** A name of something else; one that does not exist stays and is told. */
function reference(all, value, set, at, field) {
  const optional = "default" in field;
  const options = [el("option", { value: "", text: optional ? "none" : "choose…" })];
  for (const each of all ?? []) options.push(el("option", { value: each.name, text: each.title && each.title !== each.name ? `${each.title} (${each.name})` : each.name }));
  if (value && !(all ?? []).some((each) => each.name === value)) options.push(el("option", { value, text: `${value} — does not exist` }));
  // Another calendar has other rows to lead on.
  return select(options, value ?? "", (chosen) => set(chosen === "" && optional ? undefined : chosen, field.form !== "calendar"), at);
}

function promptControl(field, value, set, { at, names, listen }) {
  const optional = "default" in field;
  const own = (names.prompts ?? []).filter((prompt) => !prompt.builtin);
  const shipped = (names.prompts ?? []).filter((prompt) => prompt.builtin);
  const option = (prompt) => el("option", { value: prompt.name, title: prompt.says, text: prompt.says ? `${prompt.name} — ${prompt.says}` : prompt.name });
  const options = [el("option", { value: "", text: optional ? "none" : "choose…" })];
  if (own.length > 0) options.push(el("optgroup", { label: "Prompts library" }, ...own.map(option)));
  options.push(el("optgroup", { label: "Built in" }, ...shipped.map(option)));
  const missing = value && ![...own, ...shipped].some((prompt) => prompt.name === value);
  if (missing) options.push(el("option", { value, text: `${value} — does not exist` }));
  const control = select(options, value ?? "", (chosen) => {
    hear.disabled = chosen === "";
    set(chosen === "" && optional ? undefined : chosen, true);
  }, at);
  const box = labelled(field.title, control, { says: field.says });
  const hear = el("button", { type: "button", class: "ivr-round", title: "Listen", "aria-label": `Listen to ${field.title}`, disabled: !value || missing, on: { click: () => listen(control.value) } }, icon("play"));
  const pair = el("span", { class: "ivr-pair" });
  control.replaceWith(pair);
  pair.append(control, hear);
  return box;
}

function prefixes(value, set, at) {
  const lines = (text) => text.split(/[\s,;]+/).filter(Boolean);
  const area = el("textarea", { rows: Math.max(2, (value ?? []).length), data: { at }, spellcheck: "false", on: {
    input: (event) => set(lines(event.target.value).length > 0 ? lines(event.target.value) : undefined, true),
  } });
  area.value = (value ?? []).join("\n");
  return area;
}

/** Pairs of a name and a text. Kept as rows while they are written, so that two may have one name for a moment. */
function textsByName(field, value, set, at) {
  const rows = Object.entries(value ?? {});
  const write = (typed) => {
    const kept = rows.filter(([name]) => name !== "");
    set(kept.length > 0 ? Object.fromEntries(kept) : undefined, typed);
  };
  const list = el("div", { class: "ivr-rows" });
  const draw = () => list.replaceChildren(...rows.map((row, place) => el("div", { class: "ivr-row" },
    textInput(row[0], (text) => { row[0] = text; write(true); }, `${at}/${place}/name`, { "aria-label": `${field.title}: name ${place + 1}`, placeholder: "name" }),
    textInput(row[1], (text) => { row[1] = text; write(true); }, `${at}/${place}/value`, { "aria-label": `${field.title}: value ${place + 1}`, placeholder: "value" }),
    el("button", { type: "button", class: "ivr-round", "aria-label": `Remove ${row[0] || `row ${place + 1}`}`, on: { click: () => { rows.splice(place, 1); write(true); draw(); } } }, icon("close")))));
  draw();
  const add = button("Add", () => {
    rows.push(["", ""]);
    draw();
    list.lastElementChild.querySelector("input").focus();
  }, { class: "ivr-quiet", "aria-label": `Add to ${field.title}` });
  return el("fieldset", { class: "ivr-field" }, el("legend", { text: field.title }), list, add, field.says ? el("small", { class: "ivr-says", text: field.says }) : null);
}

function template(field, value, set, { at, variables, tall }) {
  const optional = "default" in field;
  const take = (text) => set(text === "" && optional ? undefined : text, true);
  const control = tall
    ? el("textarea", { rows: 4, data: { at }, on: { input: (event) => take(event.target.value) } })
    : el("input", { type: "text", autocomplete: "off", spellcheck: "false", data: { at }, on: { input: (event) => take(event.target.value) } });
  control.value = value ?? "";
  const box = labelled(field.title, control, { says: field.says });
  const insert = el("select", { class: "ivr-quiet ivr-insert", "aria-label": `Insert a variable into ${field.title}`, on: {
    change: (event) => {
      control.setRangeText(`{{${event.target.value}}}`, control.selectionStart, control.selectionEnd, "end");
      event.target.value = "";
      take(control.value);
      control.focus();
    },
  } }, el("option", { value: "", text: "insert variable…" }), ...variables.map((name) => el("option", { value: name, text: name })));
  box.append(insert);
  return box;
}

// ---- rows that carry transitions ------------------------------------------------------------------------------------

/** When a row of a schedule holds: `now` gives its period as it is, `put` is called with its new form. */
export function periodControls(now, put, at) {
  const period = now();
  const change = (name, value, typed = false) => {
    const { [name]: _, ...rest } = now();
    put(value === undefined ? rest : { ...rest, [name]: value }, typed);
  };
  const days = period.weekdays ?? [];
  const day = (name) => {
    const box = el("input", { type: "checkbox", data: { at: `${at}/${name}` }, "aria-label": name, on: {
      change: (event) => {
        const kept = now().weekdays ?? [];
        const all = WEEKDAYS.filter((each) => (each === name ? event.target.checked : kept.includes(each)));
        change("weekdays", all.length > 0 ? all : undefined);
      },
    } });
    box.checked = days.includes(name);
    return el("label", { class: "ivr-day" }, box, el("span", { text: name[0].toUpperCase() + name[1] }));
  };
  const time = (name, title) => {
    const shown = (period[name] ?? "00:00").slice(0, 5).replace("24:00", "00:00");
    return labelled(title, el("input", { type: "time", value: shown, data: { at: `${at}/${name}` }, on: { input: (event) => event.target.value && change(name, event.target.value, true) } }));
  };
  const date = (name, title) => labelled(title, el("input", { type: "date", value: period.dates?.[name] ?? "", data: { at: `${at}/${name}` }, on: {
    input: (event) => {
      const value = event.target.value;
      if (value === "") change("dates", undefined, true);
      else change("dates", { first: value, last: value, ...now().dates, [name]: value }, true);
    },
  } }));
  return el("div", { class: "ivr-period" },
    labelled("Name", textInput(period.name, (text) => change("name", text, true), `${at}/row-name`)),
    el("fieldset", { class: "ivr-days" }, el("legend", { text: "Begins on" }), ...WEEKDAYS.map(day)),
    el("div", { class: "ivr-two" }, date("first", "or from"), date("last", "to")),
    el("div", { class: "ivr-two" }, time("start", "Start"), time("end", "End")),
    labelled("Time zone", textInput(period.zone, (text) => change("zone", text, true), `${at}/zone`, { list: "ivr-zones" }), { says: "An end at or before the start runs over midnight." }));
}

/** A period as a new row begins with. */
export function newPeriod(name, zone) {
  return { name, weekdays: WEEKDAYS.slice(0, 5), start: "09:00", end: "17:00", zone };
}

/** The time zones that the browser knows, for all controls of the page. */
export function zoneList() {
  const zones = Intl.supportedValuesOf?.("timeZone") ?? ["UTC"];
  return el("datalist", { id: "ivr-zones" }, ...zones.map((zone) => el("option", { value: zone })));
}

/** The zone that the viewer's clock shows. */
export function ownZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}
