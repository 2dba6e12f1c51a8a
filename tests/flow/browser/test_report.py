"""The page of an evaluation does in a browser what it promises; opened from the disk, with no network."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cmirnet_cli.metrics.intervals import Resampling
from cmirnet_cli.metrics.sentences import Overlap, ReferentStats, SentenceScore, SplitScores
from cmirnet_cli.metrics.split_report import ScoringOptions, report
from cmirnet_cli.reports.evaluation.cards import SentencePictures
from cmirnet_cli.reports.evaluation.page import Evaluation, evaluation_page
from cmirnet_cli.reports.evaluation.results import describe

SCORING = ScoringOptions(Resampling(resamples=20))
RUN = {
    "program": "1",
    "libraries": {"torch": "2"},
    "weights": {"source": "runs/b", "sha256": "ab"},
    "data": {"dataset": "cups", "fingerprint": "cd"},
    "settings": {"image_size": 96},
}
HOSTILE = "</script><script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
SAID = {10: "the red cup", 11: "left ball", 12: HOSTILE, 13: "كأس أحمر", 14: "x" * 100_000, 15: "ein Ball 🎉"}
IOUS = {"paper": (90, 12, 55, 0, 100, 57), "original": (10, 12, 95, 0, 50, 40)}
FACTS = {0: ReferentStats(500, "cup", 0), 1: ReferentStats(5000, "hot dog", 1), 2: ReferentStats(50_000, "cup", 2)}

HELP = """
const find = (token) => visible(`[value='${token}']`)[0];
const read = () => visible('.card, .line').map((item) => [...item.querySelectorAll('.meter, .number')]
  .filter((part) => part.getClientRects().length).map((part) => Math.round(part.textContent.replace(/IoU|%/g, ''))).join());"""


def split(name, places):
    """Sentences with the IoUs above, in per cent."""
    sentences = [
        SentenceScore(place % 3, 10 + place, "1", SAID[10 + place], {each: Overlap(ious[place], 100, 9) for each, ious in IOUS.items()})
        for place in places
    ]
    controls = {"no-image": tuple(sentences)}
    return SplitScores(name, tuple(IOUS), tuple(sentences), controls, FACTS)


def page_of(*scored):
    reports = [report(each, SCORING) for each in scored]
    evaluation = Evaluation("cups (me)", scored, reports, (), SCORING, RUN | describe(reports, SCORING))
    half = np.zeros((30, 40), bool)
    half[:, 20:] = True
    count = sum(len(each.places) for each in evaluation.examples().values())
    return evaluation_page(evaluation, [SentencePictures(np.full((16, 16, 3), 90, np.uint8), half, ~half)] * count)


@pytest.fixture(scope="module")
def page():
    return page_of(split("val", range(6)), split("test", range(2)))


def test_the_page_opens_worst_first_without_a_complaint_and_runs_no_text(visit, page):
    seen = visit(page, f"{HELP} seen.ious = read(); seen.shown = count(); seen.whole = [...document.images].every((i) => i.naturalWidth);")
    assert seen.console == []
    assert seen.title == "cups (me), runs/b"
    assert seen.seen == {"ious": ["0", "12", "55", "57", "90", "100"], "shown": "6 of 6 with pictures", "whole": True}


def test_text_filters_the_cards_and_orders_sort_them(visit, page):
    words = {"ball": ["12", "57"], "أحمر": ["0"], "owned": ["55"], "ref 1 hot": ["12", "100"], "zebra": []}
    script = f"{HELP} for (const text of {json.dumps(list(words))}) {{ type(text); seen[text] = read(); }} seen.last = count(); type('');"
    visited = visit(page, script + "choose(order, 1); seen.best = read(); choose(order, 2); seen.small = read();")
    assert visited.seen.pop("last") == "0 of 6 with pictures"
    assert visited.seen.pop("best") == ["100", "90", "57", "55", "12", "0"]
    assert visited.seen.pop("small") == ["0", "90", "12", "100", "55", "57"]
    assert visited.seen == words


def test_a_bar_shows_its_sentences_until_it_is_pressed_again(visit, page):
    script = f"""{HELP} const bar = find('iou-paper:11');
    bar.click(); seen.bar = read(); seen.chip = named('picked').textContent; seen.pressed = bar.getAttribute('aria-pressed');
    find('iou-paper:18').click(); seen.other = read();
    named('picked').querySelector('button').click(); seen.all = read().length; seen.gone = named('picked').hidden;"""
    visited = visit(page, script)
    assert visited.console == []
    assert visited.seen == {"bar": ["55", "57"], "chip": "IoU 55 to 60 %", "pressed": "true", "other": ["90"], "all": 6, "gone": True}


def test_groups_of_different_kinds_are_combined_and_escape_shows_all_again(visit, page):
    script = f"""{HELP} for (const part of document.querySelectorAll('details')) part.open = true;
    find('category:cup').click(); seen.cups = read();
    find('size:large').click(); seen.large = read();
    find('category:hot%20dog').click(); seen.none = read(); seen.said = visible('#nothing').length;
    press('Escape'); seen.all = read().length;"""
    visited = visit(page, script)
    assert visited.seen == {"cups": ["0", "55", "57", "90"], "large": ["55", "57"], "none": [], "said": 1, "all": 6}


def test_another_protocol_shows_its_ious_its_histogram_and_sorts_by_them(visit, page):
    script = f"""{HELP} find('iou-paper:11').click(); const [split, protocol] = document.querySelectorAll('select.choice');
    choose(protocol, 1); seen.ious = read(); seen.picked = named('picked').hidden;
    seen.titles = visible('.spread h2').map((each) => each.textContent);
    choose(split, 1); seen.test = read(); seen.shown = count();"""
    visited = visit(page, script)
    assert visited.seen == {
        "ious": ["0", "10", "12", "40", "50", "95"],
        "picked": True,
        "titles": ["IoU of the 6 sentences of val, original, in percent"],
        "test": ["10", "12"],
        "shown": "2 of 2 with pictures",
    }


def test_a_group_stays_chosen_under_another_protocol(visit, page):
    script = f"""{HELP} document.querySelector('details').open = true; find('category:cup').click();
    choose(document.querySelectorAll('select.choice')[1], 1); seen.ious = read();
    seen.pressed = find('category:cup').getAttribute('aria-pressed');"""
    assert visit(page, script).seen == {"ious": ["0", "10", "40", "95"], "pressed": "true"}


def test_marks_are_counted_in_what_is_seen(visit, page):
    script = f"""{HELP} const options = () => [...named('marked').options].map((option) => option.text); seen.val = options();
    choose(named('marked'), 1); seen.ious = read();
    choose(document.querySelectorAll('select.choice')[0], 1); seen.test = options();"""
    assert visit(page, script).seen == {
        "val": ["all (6)", "no overlap (1)"],
        "ious": ["0"],
        "test": ["all (2)", "no overlap (0)"],
    }


def test_masks_and_the_list_have_keys(visit, page):
    layers = "visible('.card .layer').length"
    script = f"""{HELP} seen.both = {layers}; press('p'); seen.truth = {layers}; press('g'); seen.none = {layers};
    press('l'); seen.list = document.querySelectorAll('.line').length; seen.shown = count(); seen.ious = read();"""
    visited = visit(page, script)
    assert visited.seen == {"both": 12, "truth": 6, "none": 0, "list": 6, "shown": "6 of 6", "ious": ["0", "12", "55", "57", "90", "100"]}


@pytest.fixture(scope="module")
def long_page():
    """More sentences than the page shows pictures of."""
    many = [SentenceScore(0, place, "1", f"cup {place:04}x", {"original": Overlap(place % 500, 500, 9)}) for place in range(1200)]
    return page_of(SplitScores("val", ("original",), tuple(many), {}, FACTS))


def test_the_list_holds_what_has_no_picture_and_leads_to_what_has_one(visit, long_page):
    script = f"""{HELP} type('cup 7'); seen.cards = count(); list.click(); seen.lines = count(); type('');
    seen.page = read().length; named('further').click(); seen.more = read().length;
    type('"no such"'); seen.nothing = visible('#nothing').length; type('');
    const link = document.querySelector('.line a'); link.click(); seen.card = document.querySelector('.card:target') !== null;
    seen.gallery = list.checked;"""
    visited = visit(long_page, script)
    assert visited.console == []
    assert visited.seen.pop("cards").endswith(" of 300 with pictures")
    holding = sum("7" in f"{place:04}" for place in range(1200))
    assert visited.seen.pop("lines") == f"{holding} of 1,200"
    assert visited.seen == {"page": 500, "more": 1000, "nothing": 1, "card": True, "gallery": False}


def test_where_no_picture_shows_it_the_list_is_named(visit, long_page):
    script = """const shown = new Set([...document.querySelectorAll('.card .sentence')].map((each) => each.textContent));
    const text = [...document.querySelectorAll('.line .sentence')].map((each) => each.textContent).find((each) => !shown.has(each));
    type(text); seen.message = document.getElementById('nothing').textContent;"""
    assert visit(long_page, script).seen == {"message": "There are no such sentences. In the list: 1."}


def test_without_its_script_every_card_line_and_histogram_is_there(visit, page):
    hidden = "document.querySelectorAll('.card, .line, .spread').length - visible('.card, .line, .spread').length"
    before, after = page.split("<script>")[0], "</body></html>"
    assert visit(before + after, f"seen.hidden = {hidden};").seen == {"hidden": 0}


def test_every_control_has_a_name_and_can_be_reached_by_key(visit, page):
    script = """const controls = [...document.querySelectorAll('input, select, button:not(:disabled), a')];
    seen.stops = controls.every((each) => each.tabIndex === 0);
    seen.nameless = controls.filter((each) => !(each.ariaLabel || each.textContent || each.title || each.closest('label'))).length;
    seen.alt = [...document.images].every((each) => each.hasAttribute('alt'));"""
    assert visit(page, script).seen == {"stops": True, "nameless": 0, "alt": True}


def test_the_page_of_a_real_evaluation_works(visit, cmirnet, shared_data, weights, tmp_path):
    home = shared_data / "mini_refcocog_google_val"
    assert cmirnet("prepare-data", "refcocog", "--split-by", "google", "--data", home, "--out", tmp_path / "cache", "--size", 64).code == 0
    words = ["--cache", tmp_path / "cache", "--device", "cpu", "--control", "shuffled-text", "--report", tmp_path / "page.html"]
    assert cmirnet("eval", weights, *words).code == 0
    script = f"{HELP} seen.first = read().map(Number); choose(order, 1); seen.best = read().map(Number); type('zebra'); seen.none = read();"
    visited = visit((tmp_path / "page.html").read_text(encoding="utf-8"), script)
    assert visited.console == []
    assert visited.seen["first"] == sorted(visited.seen["best"])
    assert visited.seen["best"] == visited.seen["first"][::-1]
    assert (len(visited.seen["best"]), visited.seen["none"]) == (3, [])
