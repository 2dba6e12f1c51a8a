"""A gallery page does in a browser what it promises: it loads without a complaint, filters, sorts and shows masks."""

import json

import pytest
from PIL import Image

from cmirnet_cli.reports.pages.cards import Card, Entry, Layer, jpeg, png
from cmirnet_cli.reports.pages.gallery import Gallery, Order

ORDERS = [Order("as found"), Order("largest first", "area", falling=True), Order("by name", "name")]
SHOWN = "visible('.card').map((card) => card.dataset.name)"
LAYERS = "[...document.querySelectorAll('.layer')].map((layer) => layer.getClientRects().length)"
HOSTILE = "</script><script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"


def card(name, sentence, area, marks=(), size=(60, 40)):
    entry = Entry([sentence], [f"ref {name}"], {"area": area, "name": name}, marks)
    return Card(entry, jpeg(Image.new("RGB", size, "red")), [Layer("mask", png(Image.new("RGBA", size, (0, 255, 0, 64))))])


@pytest.fixture
def page():
    cards = [
        card("b10", "the red cup", 0.2, ["tiny mask"]),
        card("b9", "كأس أحمر", 0.09),
        card("c", HOSTILE, 0.1, ["tiny mask", "odd"], (40, 60)),
        card("a", "The Red BALL 🎉", 0.00002),
    ]
    return Gallery("Cups", "cups", "words", ORDERS).html(cards)


def test_the_page_loads_without_a_complaint_and_runs_no_text(visit, page):
    seen = visit(page, f"seen.shown = {SHOWN}; seen.whole = [...document.images].every((image) => image.naturalWidth);")
    assert seen.console == []
    assert seen.title == "Cups"
    assert seen.seen == {"shown": ["b10", "b9", "c", "a"], "whole": True}


def test_a_page_that_complains_is_noticed(visit, page):
    assert "lost" in visit(page, "console.error('lost')").console[0]
    refused = visit(page.replace("<main", '<img src="https://example.org/x.png"><main', 1)).console
    assert "Content Security Policy" in refused[0]


def test_the_filter_shows_the_cards_that_have_all_words(visit, page):
    everyone = ["b10", "b9", "c", "a"]
    shown = {
        "red": ["b10", "a"],
        "BALL the": ["a"],
        "ref b10": ["b10"],
        "أحمر": ["b9"],
        "<script>": ["c"],
        "tiny": ["b10", "c"],
        "zebra": [],
        " ": everyone,
    }
    state = f"[{SHOWN}, count(), visible('#nothing').length]"
    visited = visit(page, f"for (const text of {json.dumps(list(shown))}) {{ type(text); seen[text] = {state}; }}")
    assert visited.seen == {text: [names, f"{len(names)} of 4", 0 if names else 1] for text, names in shown.items()}


def test_cards_of_one_mark_are_shown_alone_and_the_filter_still_acts(visit, page):
    visited = visit(page, f"choose(marked, 1); seen.tiny = {SHOWN}; type('cup'); seen.cup = {SHOWN};")
    assert visited.seen == {"tiny": ["b10", "c"], "cup": ["b10"]}


def test_cards_are_sorted_by_number_by_text_and_back_again(visit, page):
    visited = visit(page, f"for (const place of [1, 2, 0]) {{ choose(order, place); seen[place] = {SHOWN}; }}")
    assert visited.seen == {"1": ["b10", "c", "b9", "a"], "2": ["a", "b9", "b10", "c"], "0": ["b10", "b9", "c", "a"]}


def test_masks_lie_exactly_over_their_pictures(visit, page):
    place = "(i) => JSON.stringify([i.getBoundingClientRect(), i.naturalWidth, i.naturalHeight])"
    places = f"[...document.querySelectorAll('.picture')].map((each) => [...each.children].map({place}))"
    visited = visit(page, f"seen.places = {places};")
    assert len(visited.seen["places"]) == 4
    assert all(base == layer for base, layer in visited.seen["places"])


def test_masks_go_and_come_with_their_switch_their_key_and_a_click_on_the_picture(visit, page):
    script = f"""
    const box = document.querySelector('.switch input');
    seen.first = {LAYERS};
    box.click(); seen.off = {LAYERS};
    press('m'); seen.on = {LAYERS};
    document.querySelector('button.picture').click(); seen.one = {LAYERS};
    filter.focus(); press('m'); seen.typed = {LAYERS};"""
    visited = visit(page, script)
    assert visited.seen == {"first": [1] * 4, "off": [0] * 4, "on": [1] * 4, "one": [0, 1, 1, 1], "typed": [0, 1, 1, 1]}
    assert visited.console == []


def test_the_longest_file_name_stays_inside_its_card_and_its_line(visit):
    entry = Entry(["a cup"], ["kitchen_" + "cup" * 80 + ".jpg"], {})
    page = Gallery("Cups", "cups", "words", ORDERS).html([Card(entry, jpeg(Image.new("RGB", (60, 40), "red")))], [entry])
    edges = "[...document.querySelectorAll('.items bdi')].map((each) => each.getBoundingClientRect().right)"
    script = f"seen.edges = {edges}; document.querySelector('[value=list]').click(); seen.edges.push(...{edges}); seen.width = innerWidth;"
    seen = visit(page, script).seen
    assert len(seen["edges"]) == 4
    assert 0 < max(seen["edges"]) < seen["width"]


def test_a_slash_leads_to_the_filter_and_every_control_can_be_reached_by_key(visit, page):
    script = """
    press('/'); seen.focused = document.activeElement.id;
    seen.stops = [...document.querySelectorAll('input, select, button')].every((each) => each.tabIndex === 0);"""
    assert visit(page, script).seen == {"focused": "filter", "stops": True}


def test_the_page_of_a_real_cache_works(visit, cmirnet, coco128, tmp_path):
    source = ["--split-by", "template", "--annotations", coco128, "--images", coco128 / "images"]
    assert cmirnet("prepare-data", "refcoco128", *source, "--out", tmp_path / "cache", "--size", 64).code == 0
    assert cmirnet("cache", "show", tmp_path / "cache", "--limit", 20, "--out", tmp_path / "page.html").code == 0
    areas = "[...document.querySelectorAll('.card')].map((card) => Number(card.dataset.area))"
    visited = visit((tmp_path / "page.html").read_text(encoding="utf-8"), f"choose(order, 1); seen.areas = {areas};")
    assert visited.console == []
    assert len(visited.seen["areas"]) == 20
    assert visited.seen["areas"] == sorted(visited.seen["areas"])
