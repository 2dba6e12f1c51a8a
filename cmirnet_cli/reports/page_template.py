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
<label title="press / to type here">Filter <input id="filter" type="search" placeholder="$search"></label>
$marks<label>Sort <select id="order">
$orders
</select></label>
$layers<output id="shown" for="filter">$count of $count</output>
</form>
</header>
$about<main id="gallery">
$cards
</main>
<p id="nothing" hidden>There are no such $things.</p>
<script>
$script</script>
</body>
</html>
""")

MARKED = Template("""\
<label>Show <select id="marked">
<option value="">all ($count)</option>$options
</select></label>
""")

SWITCH = Template("""\
<label class="switch"><input type="checkbox" value="$name" checked> $name <kbd>$letter</kbd></label>
""")

CARD = Template("""\
<figure class="card"$keys>
$picture
<figcaption>
$marks$sentences
<p class="notes">$notes</p>
$meter</figcaption>
</figure>""")

FLAT = Template("""<div class="picture">$pictures</div>""")

LAYERED = Template("""<button type="button" class="picture" title="masks of this picture on or off">$pictures</button>""")

BASE = Template("""<img src="$picture" alt="$sentences">""")

LAYER = Template("""<img class="layer" data-layer="$name" src="$picture" alt="">""")

MARKS = Template("""<ul class="marks">$items</ul>\n""")

SENTENCE = Template("""<p class="sentence" dir="auto">$sentence</p>""")

METER = Template("""\
<p class="meter"><span class="bar"><span style="width: $percent%"></span></span> $label $percent</p>
""")
