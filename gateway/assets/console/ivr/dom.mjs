// Elements by hand. Text is only ever set as text, and style only through the object model: no markup is made of strings,
// and the page's policy may stay strict.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `props`: `class`, `text`, `on` (listeners by event), `data`, `style` (properties by name), and attributes;
 * null, undefined and false leave an attribute away. Children may be null.
 */
export function el(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "data") for (const [key, each] of Object.entries(value)) element.dataset[key] = each;
    else if (name === "style") for (const [property, each] of Object.entries(value)) element.style.setProperty(property, each);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

/** Children without those that are left out. */
export function present(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

let last = 0;

/** An id that no other element of the page has. */
export function freshId(stem) {
  last += 1;
  return `ivr-${stem}-${last}`;
}

/** A label with its control, which it names; `says` explains it below. */
export function labelled(title, control, { says = null, unit = null, inline = false } = {}) {
  const id = control.id || (control.id = freshId("field"));
  const help = says ? el("small", { class: "ivr-says", id: `${id}-says`, text: says }) : null;
  if (help) control.setAttribute("aria-describedby", help.id);
  const label = el("label", { for: id, text: title });
  const shown = unit ? el("span", { class: "ivr-unit" }, control, el("span", { text: unit })) : control;
  return el("div", { class: inline ? "ivr-field ivr-inline" : "ivr-field" }, ...(inline ? [shown, label] : [label, shown]), help);
}

/** A button of words. */
export function button(text, click, props = {}) {
  return el("button", { type: "button", ...props, text, on: { click } });
}

/**
 * A dialog in the middle of the page; closing it gives the focus back to `back`, when that is still there.
 * `make(close)` gives its children; Escape closes it.
 */
export function dialog(title, make, { back = document.activeElement, classes = "" } = {}) {
  const id = freshId("dialog");
  const box = el("dialog", { class: `ivr-dialog ${classes}`, "aria-labelledby": id });
  const close = () => box.close();
  box.append(el("h2", { id, text: title }), ...present([make(close)]));
  box.addEventListener("close", () => {
    box.remove();
    if (back?.isConnected && document.activeElement === document.body) back.focus({ preventScroll: true });
  });
  // A click on what lies behind it.
  box.addEventListener("pointerdown", (event) => {
    if (event.target !== box) return;
    const { left, right, top, bottom } = box.getBoundingClientRect();
    if (event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom) close();
  });
  document.body.append(box);
  box.showModal();
  return { box, close };
}

/** Asks for a text. `fault(text)` says what is wrong with it, or null; `act(text)` is called with one that is good. */
export function askText(title, { label, value = "", word = "OK", tall = false, says = null, fault = () => null, back }, act) {
  const input = tall ? el("textarea", { rows: 3, "aria-label": label, autofocus: true, value }) : el("input", { type: "text", value, "aria-label": label, autofocus: true });
  const { close } = dialog(title, () => el("form", { method: "dialog", on: { submit: (event) => {
    event.preventDefault();
    const text = input.value.trim();
    input.setCustomValidity(fault(text) ?? "");
    if (!input.reportValidity()) return;
    close();
    act(text);
  } } }, input, says ? el("small", { class: "ivr-says", text: says }) : null, el("div", { class: "ivr-acts" }, el("button", { class: "ivr-first", text: word }))), { back });
  input.addEventListener("input", () => input.setCustomValidity(""));
  input.select();
}
