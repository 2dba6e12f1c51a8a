"""What a gallery page does: search, choose, sort, switch layers on and off, and change from the cards to the list.

The page shows what belongs to every chosen token (see `cards.token`): those of its `choice` lists, and those of its `pick` buttons, of
which one of a kind is chosen at a time.
"""

from __future__ import annotations

SCRIPT = """\
const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
const named = (id) => document.getElementById(id);
const plain = (text) => text.normalize("NFKC").toLowerCase();
const figure = (number) => number.toLocaleString("en");
const kind = (token) => token.split(":", 1)[0];

const gallery = named("gallery");
const filter = named("filter");
const order = named("order");
const switches = all(".switch input");
const list = switches.find((each) => each.dataset.kind === "list");
const choices = all("select.choice");
const sorting = choices.find((choice) => "sorts" in choice.dataset);
const picks = all("button.pick");
const layers = all(".layer");
const views = all("[data-when]").map((part) => ({ part, when: part.dataset.when.split(" ") }));
const collections = all(".items").map((holder) => ({ holder, items: Array.from(holder.children, read) }));
const kinds = new Set(collections.flatMap(({ items }) => items.flatMap(({ groups }) => groups.map(kind))));
const collator = new Intl.Collator(undefined, { numeric: true });
const picked = new Map();
const STEP = 500;
let most = STEP;

function read(item, place) {
  const parts = all(".sentence, .notes bdi, .marks li", item);
  const text = plain(parts.map((part) => part.textContent).join(" "));
  return { item, place, text, groups: (item.dataset.in ?? "").split(" ") };
}

function hide(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

const current = () => collections.find(({ holder }) => !holder.hidden);
const chosen = (lists) => lists.map((choice) => choice.value).filter((token) => token && kinds.has(kind(token)));
const belongs = (groups, tokens) => tokens.every((token) => groups.includes(token));

function select({ items }) {
  const words = plain(filter.value).split(/\\s+/).filter(Boolean);
  const view = chosen(choices.filter((choice) => "view" in choice.dataset));
  const wanted = [...chosen(choices), ...picked.keys()];
  const seen = items.filter(({ groups }) => belongs(groups, view));
  const found = seen.filter(({ groups, text }) => belongs(groups, wanted) && words.every((word) => text.includes(word)));
  return { seen, found };
}

function show() {
  const { seen, found } = select(current());
  current().holder.replaceChildren(...found.slice(0, most).map(({ item }) => item));
  named("further").hidden = found.length <= most;
  const pictures = list && !list.checked;
  named("shown").textContent = `${figure(found.length)} of ${figure(seen.length)}${pictures ? " with pictures" : ""}`;
  named("nothing").hidden = found.length > 0;
  named("more").textContent = pictures && !found.length ? `In the list: ${figure(select(collections[1]).found.length)}.` : "";
  count(seen);
}

function count(seen) {
  for (const option of named("marked")?.options ?? []) {
    option.dataset.label ??= option.text;
    const marked = option.value ? seen.filter(({ groups }) => groups.includes(option.value)) : seen;
    option.text = `${option.dataset.label} (${figure(marked.length)})`;
  }
}

function look() {
  const tokens = choices.map((choice) => choice.value);
  for (const { part, when } of views) hide(part, !belongs(tokens, when));
  const offered = new Set(picks.filter((pick) => !pick.closest("[data-when][hidden]")).map((pick) => pick.value));
  for (const token of [...picked.keys()]) if (!offered.has(token)) picked.delete(token);
  press();
  sort();
}

function further() {
  most += STEP;
  show();
}

function press() {
  for (const pick of picks) pick.setAttribute("aria-pressed", picked.has(pick.value));
  named("picked").replaceChildren(...Array.from(picked, ([token, label]) => chip(token, label)));
  named("picked").hidden = !picked.size;
}

function chip(token, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.title = "show all again";
  button.addEventListener("click", () => pick(token, label));
  return button;
}

function pick(token, label) {
  const again = picked.has(token);
  for (const other of [...picked.keys()]) if (kind(other) === kind(token)) picked.delete(other);
  if (!again) picked.set(token, label);
  press();
  show();
}

function compare(one, other) {
  const difference = one - other;
  return Number.isNaN(difference) ? collator.compare(one, other) : difference;
}

function sort() {
  const { items } = current();
  const key = order.value;
  const place = sorting ? sorting.selectedIndex : "";
  const sign = order.selectedOptions[0].hasAttribute("data-falling") ? -1 : 1;
  for (const each of items) each.value = each.item.dataset[key] ?? each.item.dataset[key + place];
  items.sort((a, b) => (key ? sign * compare(a.value, b.value) : 0) || a.place - b.place);
  show();
}

function lay() {
  const off = new Set(switches.filter(({ checked }) => !checked).map(({ value }) => value));
  for (const layer of layers) layer.hidden = off.has(layer.dataset.layer);
}

function turn() {
  most = STEP;
  for (const { holder } of collections) holder.hidden = (holder !== gallery) !== Boolean(list?.checked);
  look();
}

function reset() {
  filter.value = "";
  if (named("marked")) named("marked").value = "";
  picked.clear();
  press();
  show();
}

function strike(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=search], select")) return;
  if (event.key === "Escape") reset();
  if (event.key === "/") {
    event.preventDefault();
    filter.focus();
  }
  switches.find(({ value }) => value[0].toLowerCase() === event.key.toLowerCase())?.click();
}

function follow(event) {
  if (!event.target.closest("a[href^='#']") || !list?.checked) return;
  list.checked = false;
  turn();
}

filter.addEventListener("input", show);
order.addEventListener("change", sort);
for (const choice of choices) choice.addEventListener("change", "view" in choice.dataset ? look : show);
for (const each of switches) each.addEventListener("change", each === list ? turn : lay);
for (const each of picks) each.addEventListener("click", () => pick(each.value, each.dataset.label));
for (const picture of all("button.picture")) picture.addEventListener("click", () => picture.closest(".card").classList.toggle("bare"));
named("further").addEventListener("click", further);
document.addEventListener("keydown", strike);
document.addEventListener("click", follow);
named("controls").addEventListener("submit", (event) => event.preventDefault());
turn();
lay();
"""
