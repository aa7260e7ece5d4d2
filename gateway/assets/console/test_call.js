// Keeps a test call up to date: with each change the piece that the server draws is read anew.

import { tick } from "./console.js";

const place = document.querySelector("[data-test-call]");

async function draw() {
  const answer = await fetch(`${place.dataset.testCall}/piece`);
  if (!answer.ok) return;
  place.innerHTML = await answer.text();
  tick(place);
}

if (place) {
  const source = new EventSource(`${place.dataset.testCall}/stream`);
  // One after the other, so that an older answer never replaces a newer one.
  let drawn = Promise.resolve();
  source.addEventListener("test_call", (event) => {
    const { state } = JSON.parse(event.data);
    if (state === "ended" || state === "expired") source.close();
    drawn = drawn.then(draw, draw);
  });
}
