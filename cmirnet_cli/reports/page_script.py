"""What a gallery page does: search, choose by mark, sort, and switch layers on and off."""

from __future__ import annotations

SCRIPT = """\
const gallery = document.getElementById("gallery");
const filter = document.getElementById("filter");
const marked = document.getElementById("marked");
const order = document.getElementById("order");
const switches = Array.from(document.querySelectorAll(".switch input"));
const plain = (text) => text.normalize("NFKC").toLowerCase();
const cards = Array.from(gallery.children, (card, place) => ({
  card,
  place,
  text: plain(Array.from(card.querySelectorAll(".sentence, .notes bdi, .marks li"), (part) => part.textContent).join(" ")),
  marks: Array.from(card.querySelectorAll(".marks li"), (mark) => mark.textContent),
}));

function show() {
  const words = plain(filter.value).split(/\\s+/).filter(Boolean);
  const mark = marked ? marked.value : "";
  let shown = 0;
  for (const { card, text, marks } of cards) {
    card.hidden = !(words.every((word) => text.includes(word)) && (!mark || marks.includes(mark)));
    shown += card.hidden ? 0 : 1;
  }
  document.getElementById("shown").textContent = `${shown} of ${cards.length}`;
  document.getElementById("nothing").hidden = shown > 0;
}

function compare(one, other) {
  const difference = one - other;
  return Number.isNaN(difference) ? one.localeCompare(other, undefined, { numeric: true }) : difference;
}

function sort() {
  const key = order.value;
  const sign = order.selectedOptions[0].hasAttribute("data-falling") ? -1 : 1;
  const by = (a, b) => (key ? sign * compare(a.card.dataset[key], b.card.dataset[key]) : 0) || a.place - b.place;
  gallery.append(...[...cards].sort(by).map(({ card }) => card));
}

function lay() {
  for (const { value, checked } of switches) {
    for (const layer of gallery.querySelectorAll(".layer")) {
      if (layer.dataset.layer === value) layer.hidden = !checked;
    }
  }
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=search], select")) return;
  if (event.key === "/") {
    event.preventDefault();
    filter.focus();
  }
  const named = switches.find(({ value }) => value[0].toLowerCase() === event.key.toLowerCase());
  if (named) named.click();
}

filter.addEventListener("input", show);
if (marked) marked.addEventListener("change", show);
order.addEventListener("change", sort);
for (const each of switches) each.addEventListener("change", lay);
for (const { card } of cards) {
  const picture = card.querySelector("button.picture");
  if (picture) picture.addEventListener("click", () => card.classList.toggle("bare"));
}
document.addEventListener("keydown", press);
document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
show();
sort();
lay();
"""
