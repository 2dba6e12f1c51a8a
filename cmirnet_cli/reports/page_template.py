"""The gallery page's HTML, style and script."""

from __future__ import annotations

from string import Template

PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<header>
<h1 dir="auto">$title</h1>
<form id="controls" role="search">
<label>Filter <input id="filter" type="search" placeholder="words or file name" autocomplete="off"></label>
<label>Sort <select id="order">
<option value="given">as predicted</option>
<option value="surest">surest first</option>
<option value="least">least sure first</option>
<option value="expression">by expression</option>
<option value="source">by file</option>
</select></label>
<output id="shown" for="filter">$count of $count</output>
</form>
</header>
<main id="gallery">
$cards
</main>
<p id="nothing" hidden>No prediction matches the filter.</p>
<script>
$script</script>
</body>
</html>
""")

CARD = Template("""\
<figure class="card" data-score="$score">
<img src="$picture" alt="$expression">
<figcaption>
<p class="expression" dir="auto">$expression</p>
<p class="source" dir="auto">$source</p>
<p class="score"><span class="meter"><span style="width: $percent%"></span></span> score $percent</p>
</figcaption>
</figure>""")

STYLE = """\
:root { --paper: #f5f6f8; --card: #fff; --ink: #20242c; --faint: #5f6673; --rule: #e0e3e9; --accent: #009e73; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14161a; --card: #1f2228; --ink: #eceef2; --faint: #9aa2b1; --rule: #343943; --accent: #2cc39a; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.45 system-ui, sans-serif; }
header { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; align-items: center; gap: 12px 32px;
         padding: 14px 28px; background: var(--paper); border-bottom: 1px solid var(--rule); }
h1 { margin: 0 auto 0 0; font-size: 22px; font-weight: 600; }
form { display: flex; flex-wrap: wrap; align-items: center; gap: 10px 20px; color: var(--faint); font-size: 14px; }
input, select { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
                padding: 6px 10px; margin-left: 4px; }
output { min-width: 6em; font-variant-numeric: tabular-nums; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 18px; padding: 24px 28px; }
.card { display: flex; flex-direction: column; margin: 0; padding: 10px; background: var(--card); border: 1px solid var(--rule);
        border-radius: 12px; }
.card[hidden] { display: none; }
.card img { width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 6px; background: var(--paper); }
figcaption { display: flex; flex-direction: column; flex: 1; padding: 8px 2px 0; }
figcaption p { margin: 0; overflow-wrap: anywhere; }
.source { color: var(--faint); font-size: 13px; }
.score { display: flex; align-items: center; gap: 12px; margin-top: auto; padding-top: 8px; color: var(--faint); font-size: 13px; }
.meter { flex: 1; height: 6px; border-radius: 3px; background: var(--rule); overflow: hidden; }
.meter span { display: block; height: 100%; border-radius: 3px; background: var(--accent); }
#nothing { padding: 0 28px; color: var(--faint); }
"""

SCRIPT = """\
const gallery = document.getElementById("gallery");
const filter = document.getElementById("filter");
const order = document.getElementById("order");
const cards = Array.from(gallery.children, (card, place) => ({
  card,
  place,
  score: Number(card.dataset.score),
  expression: card.querySelector(".expression").textContent,
  source: card.querySelector(".source").textContent,
}));
const orders = {
  given: () => 0,
  surest: (a, b) => b.score - a.score,
  least: (a, b) => a.score - b.score,
  expression: (a, b) => a.expression.localeCompare(b.expression),
  source: (a, b) => a.source.localeCompare(b.source, undefined, { numeric: true }),
};

function show() {
  const words = filter.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const { card, expression, source } of cards) {
    const text = (expression + " " + source).toLowerCase();
    card.hidden = !words.every((word) => text.includes(word));
    shown += card.hidden ? 0 : 1;
  }
  document.getElementById("shown").textContent = `${shown} of ${cards.length}`;
  document.getElementById("nothing").hidden = shown > 0;
}

function sort() {
  const sorted = [...cards].sort((a, b) => orders[order.value](a, b) || a.place - b.place);
  gallery.append(...sorted.map(({ card }) => card));
}

filter.addEventListener("input", show);
order.addEventListener("change", sort);
document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
show();
sort();
"""
