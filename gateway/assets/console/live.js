// Keeps the live page up to date: pieces that have changed come as they are drawn by the server, and replace what has
// their id. A piece in which somebody is at work waits until they are done.

import { remember, tick } from "./console.js";

const place = document.querySelector("[data-stream]");
const state = document.querySelector("[data-stream-state]");
const waiting = new Map();

function busy(element) {
  return element.querySelector("details[open]") !== null;
}

function replace(id, html) {
  const element = document.getElementById(id);
  if (!element) return;
  if (busy(element)) {
    waiting.set(id, html);
    return;
  }
  waiting.delete(id);
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const marks = focused && [focused.getAttribute("href"), focused.closest("[data-key]")?.dataset.key];
  element.innerHTML = html;
  tick(element);
  remember(element);
  if (!marks) return;
  const again = marks[1]
    ? element.querySelector(`[data-key="${CSS.escape(marks[1])}"] summary`)
    : marks[0] && element.querySelector(`a[href="${CSS.escape(marks[0])}"]`);
  again?.focus();
}

function connect() {
  const source = new EventSource(place.dataset.stream);
  source.addEventListener("open", () => { state.textContent = ""; });
  source.addEventListener("pieces", (event) => {
    for (const { id, html } of JSON.parse(event.data)) replace(id, html);
  });
  source.addEventListener("error", () => {
    state.textContent = "Not up to date: connecting again…";
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 10000);
  });
}

document.addEventListener("toggle", () => {
  for (const [id, html] of [...waiting]) replace(id, html);
}, true);

connect();
