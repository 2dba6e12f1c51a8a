/* Search, choose, sort, switch layers on and off, and change from the cards to the list.

   The page shows the items that belong to every chosen token (see `token` in pages/cards.py): those of its `choice` lists, and those of
   its `pick` buttons, of which one of a kind is chosen at a time. */

const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
const named = (id) => document.getElementById(id);
const plain = (text) => text.normalize("NFKC").toLowerCase();
const figure = (number) => number.toLocaleString("en");
const kind = (token) => token.split(":", 1)[0];

const gallery = named("gallery");
const filter = named("filter");
const order = named("order");
const switches = all(".switch input");
const list = switches.find((box) => box.dataset.kind === "list");
const choices = all("select.choice");
const sorting = choices.find((choice) => "sorts" in choice.dataset);
const picks = all("button.pick");
const layers = all(".layer");
const views = all("[data-when]").map((part) => ({ part, when: part.dataset.when.split(" ") }));
const collections = all(".items").map((holder) => ({ holder, items: Array.from(holder.children, readItem) }));
const kinds = new Set(collections.flatMap(({ items }) => items.flatMap(({ groups }) => groups.map(kind))));
const collator = new Intl.Collator(undefined, { numeric: true });
const picked = new Map();
const STEP = 500;
let most = STEP;

function readItem(element, place) {
  const parts = all(".sentence, .notes bdi, .marks li", element);
  const text = plain(parts.map((part) => part.textContent).join(" "));
  return { element, place, text, groups: (element.dataset.in ?? "").split(" ") };
}

const current = () => collections.find(({ holder }) => !holder.hidden);
const tokensOf = (lists) => lists.map((choice) => choice.value).filter((token) => token && kinds.has(kind(token)));
const belongs = (groups, tokens) => tokens.every((token) => groups.includes(token));

function select({ items }) {
  const words = plain(filter.value).split(/\s+/).filter(Boolean);
  const view = tokensOf(choices.filter((choice) => "view" in choice.dataset));
  const tokens = [...tokensOf(choices), ...picked.keys()];
  const inView = items.filter(({ groups }) => belongs(groups, view));
  const matching = inView.filter(({ groups, text }) => belongs(groups, tokens) && words.every((word) => text.includes(word)));
  return { inView, matching };
}

function show() {
  const { inView, matching } = select(current());
  current().holder.replaceChildren(...matching.slice(0, most).map(({ element }) => element));
  named("further").hidden = matching.length <= most;
  const pictures = list && !list.checked;
  named("shown").textContent = `${figure(matching.length)} of ${figure(inView.length)}${pictures ? " with pictures" : ""}`;
  named("nothing").hidden = matching.length > 0;
  named("more").textContent = pictures && !matching.length ? `In the list: ${figure(select(collections[1]).matching.length)}.` : "";
  for (const option of named("marked")?.options ?? []) {
    option.dataset.label ??= option.text;
    const marked = option.value ? inView.filter(({ groups }) => groups.includes(option.value)) : inView;
    option.text = `${option.dataset.label} (${figure(marked.length)})`;
  }
}

function showMore() {
  most += STEP;
  show();
}

function sort() {
  const { items } = current();
  const key = order.value;
  const place = sorting ? sorting.selectedIndex : "";
  const sign = order.selectedOptions[0].hasAttribute("data-falling") ? -1 : 1;
  for (const item of items) item.value = item.element.dataset[key] ?? item.element.dataset[key + place];
  items.sort((a, b) => (key ? sign * compare(a.value, b.value) : 0) || a.place - b.place);
  show();
}

function compare(one, other) {
  const difference = one - other;
  return Number.isNaN(difference) ? collator.compare(one, other) : difference;
}

function changeView() {
  const tokens = choices.map((choice) => choice.value);
  for (const { part, when } of views) {
    const hidden = !belongs(tokens, when);
    if (part.hidden !== hidden) part.hidden = hidden;
  }
  const offered = new Set(picks.filter((pick) => !pick.closest("[data-when][hidden]")).map((pick) => pick.value));
  for (const token of [...picked.keys()]) if (!offered.has(token)) picked.delete(token);
  showPicked();
  sort();
}

function pick(token, label) {
  const again = picked.has(token);
  for (const other of [...picked.keys()]) if (kind(other) === kind(token)) picked.delete(other);
  if (!again) picked.set(token, label);
  showPicked();
  show();
}

function showPicked() {
  for (const button of picks) button.setAttribute("aria-pressed", picked.has(button.value));
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

function showLayers() {
  const off = new Set(switches.filter(({ checked }) => !checked).map(({ value }) => value));
  for (const layer of layers) layer.hidden = off.has(layer.dataset.layer);
}

function changeCollection() {
  most = STEP;
  for (const { holder } of collections) holder.hidden = (holder !== gallery) !== Boolean(list?.checked);
  changeView();
}

function reset() {
  filter.value = "";
  if (named("marked")) named("marked").value = "";
  picked.clear();
  showPicked();
  show();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=search], select")) return;
  if (event.key === "Escape") reset();
  if (event.key === "/") {
    event.preventDefault();
    filter.focus();
  }
  switches.find(({ value }) => value[0].toLowerCase() === event.key.toLowerCase())?.click();
}

/* A link of the list leads to a card, so the cards come back. */
function onClick(event) {
  if (!event.target.closest("a[href^='#']") || !list?.checked) return;
  list.checked = false;
  changeCollection();
}

filter.addEventListener("input", show);
order.addEventListener("change", sort);
for (const choice of choices) choice.addEventListener("change", "view" in choice.dataset ? changeView : show);
for (const box of switches) box.addEventListener("change", box === list ? changeCollection : showLayers);
for (const button of picks) button.addEventListener("click", () => pick(button.value, button.dataset.label));
for (const picture of all("button.picture")) picture.addEventListener("click", () => picture.closest(".card").classList.toggle("bare"));
named("further").addEventListener("click", showMore);
document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
named("controls").addEventListener("submit", (event) => event.preventDefault());
changeCollection();
showLayers();
