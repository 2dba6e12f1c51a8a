"""The HTML of a gallery page and of its parts."""

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
<form id="controls" role="search" autocomplete="off">
$choices<label title="press / to type here">Filter <input id="filter" type="search" placeholder="$search"></label>
$marks<label>Sort <select id="order">
$orders
</select></label>
$layers$list<output id="shown" for="filter">$count of $count</output>
</form>
<p id="picked" aria-live="polite" hidden></p>
</header>
$about<main id="gallery" class="items">
$cards
</main>
$lines<button type="button" id="further" hidden>show more</button>
<p id="nothing" hidden>There are no such $things. <span id="more"></span></p>
<script>
$script</script>
</body>
</html>
""")

CHOICE = Template("""\
<label>$label <select class="choice" data-view$sorts>$options
</select></label>
""")

MARKED = Template("""\
<label>Show <select id="marked" class="choice">
<option value="">all</option>$options
</select></label>
""")

SWITCH = Template("""\
<label class="switch"><input type="checkbox" data-kind="$kind" value="$name"$checked> $swatch$name <kbd>$letter</kbd></label>
""")

SWATCH = Template("""<i class="swatch" style="background: $colour"></i> """)

CARD = Template("""\
<figure class="card"$attributes>
$picture
<figcaption>
$marks$sentences
<p class="notes">$notes</p>
$meters</figcaption>
</figure>""")

FLAT = Template("""<div class="picture">$pictures</div>""")

LAYERED = Template("""<button type="button" class="picture" title="masks of this picture on or off">$pictures</button>""")

BASE = Template("""<img src="$picture" alt="$sentences">""")

LAYER = Template("""<img class="layer" data-layer="$name" src="$picture" alt="">""")

MARKS = Template("""<ul class="marks">$items</ul>\n""")

SENTENCE = Template("""<p class="sentence" dir="auto">$sentence</p>""")

METER = Template("""\
<p class="meter$bad"$when><span class="bar"><span style="width: $percent%"></span></span> $label $percent</p>
""")

LINES = Template("""\
<ol id="list" class="items">
$lines
</ol>
""")

LINE = Template("""\
<li class="line"$attributes>$figures<span class="sentence" dir="auto">$sentence</span>$marks<span class="notes">$notes</span></li>""")

NUMBER = Template("""<span class="number$bad" title="$label"$when>$number</span>""")

PICK = Template("""<button type="button" class="pick$kind" value="$token" data-label="$label"$more>$content</button>""")

HISTOGRAM = Template("""\
<div class="histogram" role="group" aria-label="$label">$bars</div>
<p class="axis" aria-hidden="true"><span>0</span><span>.1</span><span>.2</span><span>.3</span><span>.4</span><span>.5</span>\
<span>.6</span><span>.7</span><span>.8</span><span>.9</span><span>1</span></p>
""")

GROUP = Template("""<section class="group" title="$words" tabindex="0" aria-label="by $attribute">$table</section>\n""")

REPORT = Template("""\
<section id="about">
<section class="scores">
$scores
</section>
$histograms</section>
<details class="part"><summary>$grouped</summary>
$groups</details>
<details class="part"><summary>What was scored, and how</summary>
$facts
</details>
""")

HISTOGRAM_SECTION = Template("""\
<section class="spread"$when>
<h2>$title</h2>
$histogram<p class="hint">$hint</p>
</section>
""")

GROUPS_SECTION = Template("""<div class="groups"$when>
$groups</div>
""")
