// Follows a chat: what is said appears as it is said.

import { tick } from "./console.js";

const thread = document.querySelector(".thread[data-live]");

function add({ text, by, at }) {
  const item = document.createElement("li");
  item.className = by ? "ours" : "theirs";
  const words = document.createElement("p");
  words.textContent = text;
  const note = document.createElement("span");
  note.className = "quiet small";
  const time = document.createElement("time");
  time.dateTime = at;
  time.dataset.when = "";
  note.append(by ? `${by} · ` : "", time);
  item.append(words, note);
  thread.append(item);
  tick(item);
  item.scrollIntoView({ block: "nearest" });
}

if (thread) {
  const source = new EventSource(`${thread.dataset.live}?after=${thread.dataset.after ?? 0}`);
  source.addEventListener("line", (event) => add(JSON.parse(event.data)));
}
