// Comfort for every page: times in the reader's zone, keys, forms that remember. Pages work without it.

const two = (number) => String(number).padStart(2, "0");

/** `0:07`, `12:30`, `3:02:11`, `2 d 4 h`; as the server writes it. */
function clock(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours}:${two(minutes)}:${two(seconds % 60)}`;
  return `${minutes}:${two(seconds % 60)}`;
}

const shown = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** Writes the times inside an element: moments in the reader's zone, ages and what is due as they are now. */
export function tick(root = document) {
  for (const time of root.querySelectorAll("time[data-when]:not([title])")) {
    const moment = new Date(time.dateTime);
    time.title = moment.toISOString().replace("T", " ").replace("Z", " UTC");
    time.textContent = shown.format(moment);
  }
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-since]")) {
    write(time, clock(Math.max(0, Math.floor((now - Date.parse(time.dateTime)) / 1000))));
  }
  for (const time of root.querySelectorAll("time[data-due]")) {
    const left = Math.floor((Date.parse(time.dateTime) - now) / 1000);
    time.classList.toggle("late", left < 0);
    write(time, left < 0 ? `${clock(-left)} late` : `in ${clock(left)}`);
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

tick();
setInterval(tick, 1000);

// -- keys -------------------------------------------------------------------------------------------------------------

let waitsForPlace = false;

function typing(target) {
  return target.closest?.("input, textarea, select, [contenteditable]") !== null && target.closest !== undefined;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches?.("[data-submit-keys]")) {
    event.target.form.requestSubmit();
    return;
  }
  if (event.key === "Escape") closeSheets(null);
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (waitsForPlace) {
    waitsForPlace = false;
    const place = document.querySelector(`.side a[data-key="${CSS.escape(event.key)}"], .draft[data-key="${CSS.escape(event.key)}"]`);
    if (place) location.href = place.href;
    return;
  }
  if (event.key === "g") waitsForPlace = true;
  else if (event.key === "?") document.getElementById("shortcuts")?.showModal();
  else if (event.key === "/") focusSearch(event);
  else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
});

function focusSearch(event) {
  const search = document.querySelector("[data-search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
}

/** The next or previous row of the page's list: its link has the focus. */
function step(by) {
  const links = [...document.querySelectorAll("main .rows tbody th a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by));
  links[next].focus();
}

document.querySelector("[data-shortcuts]")?.addEventListener("click", () => document.getElementById("shortcuts")?.showModal());

// -- sheets that open: one at a time, closed by a click elsewhere -----------------------------------------------------

const SHEETS = "details.pop, details.user, details.menu-button";

function closeSheets(but) {
  for (const open of document.querySelectorAll(SHEETS)) {
    if (open.open && open !== but && !open.contains(but)) {
      const held = open.contains(document.activeElement);
      open.open = false;
      if (held) open.querySelector("summary").focus();
    }
  }
}

document.addEventListener("click", (event) => closeSheets(event.target.closest(SHEETS)));
document.addEventListener("toggle", (event) => {
  if (event.target.matches?.("details.pop") && event.target.open) {
    event.target.querySelector("input:not([type=hidden]), select, textarea, form .button")?.focus();
  }
}, true);

// -- forms ------------------------------------------------------------------------------------------------------------

/** Fields that remember what was typed last, in this browser. */
export function remember(root = document) {
  for (const field of root.querySelectorAll("[data-remember]")) {
    if (!field.value) field.value = localStorage.getItem(`vestibule.${field.dataset.remember}`) ?? "";
  }
}

remember();
document.addEventListener("submit", (event) => {
  for (const field of event.target.querySelectorAll("[data-remember]")) {
    localStorage.setItem(`vestibule.${field.dataset.remember}`, field.value);
  }
  delete event.target.dataset.dirty;
});

for (const box of document.querySelectorAll("[data-shows]")) {
  const part = document.querySelector(`[data-shown-by="${box.dataset.shows}"]`);
  const follow = () => { part.hidden = !box.checked; };
  box.addEventListener("change", follow);
  follow();
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });
}

for (const form of document.querySelectorAll("form[data-unsaved]")) {
  form.addEventListener("input", () => { form.dataset.dirty = "yes"; });
}
addEventListener("beforeunload", (event) => {
  if (document.querySelector("form[data-dirty]")) event.preventDefault();
});

/** Opens what the address points to. */
function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
openTarget();
addEventListener("hashchange", openTarget);
