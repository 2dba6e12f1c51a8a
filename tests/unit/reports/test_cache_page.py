"""The page of a cache's referents, read back picture by picture; marks and selections are counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.images.drawing import HALO, outer_outline
from cmirnet_cli.images.palette import ORANGE
from cmirnet_cli.reports.cache_page import CacheSummary, Selection, ShownReferent, cache_page, marks_of, percentage
from cmirnet_cli.reports.tables import Counted, CountRow

COUNTS = [CountRow("train", Counted(132, 71, 262), Counted(132, 70, None)), CountRow("val", Counted(4100, 24, 82))]
SUMMARY = CacheSummary("drawn (made)", "val", {"store": "decoded, 64 px", "fingerprint": "abc<1>"}, COUNTS)
MASK = np.zeros((100, 200), bool)
MASK[20:60, 40:100] = True
CUP = ShownReferent(7, "000&1", "val", "cup", ("the cup", "the blue cup there"), np.full((64, 64, 3), 120, np.uint8), MASK, ())


def test_a_card_says_which_referent_it_is_what_was_said_and_how_large_the_mask_is(read_page):
    page = read_page(cache_page(SUMMARY, [CUP]))

    assert page.text("sentence") == ["the cup", "the blue cup there"]
    assert [note.replace("\xa0", " ") for note in page.text("bdi")] == ["ref 7", "image 000&1", "cup", "mask 12.0 % of 200×100"]


def test_the_split_of_a_card_is_named_where_the_page_does_not_say_it(read_page):
    assert "val" not in read_page(cache_page(SUMMARY, [CUP])).text("bdi")
    assert "val" in read_page(cache_page(replace(SUMMARY, split="all"), [CUP])).text("bdi")
    assert "testAB" in read_page(cache_page(replace(SUMMARY, split="testA"), [replace(CUP, split="testAB")])).text("bdi")


def test_the_head_names_data_facts_and_counts_and_marks_what_differs_from_the_published(read_page):
    page = read_page(cache_page(SUMMARY, [CUP]))

    assert page.text("h1") == ["drawn (made), val"]
    assert page.text("dt") == ["store", "fingerprint"]
    assert page.text("dd") == ["decoded, 64 px", "abc<1>"]
    assert page.text("th") == ["split", "referents", "published", "images", "published", "sentences", "published", "agrees"]
    assert page.text("differs") == ["71", "no"]
    assert page.text("td")[-8:] == ["val", "4,100", "-", "24", "-", "82", "-", "-"]


def test_the_picture_has_the_aspect_of_the_file_again_and_the_mask_lies_where_it_is(read_page):
    page = read_page(cache_page(SUMMARY, [CUP]))

    base, layer = page.pictures()
    drawn = np.asarray(Image.alpha_composite(base.convert("RGBA"), layer.convert("RGBA")).convert("RGB")).astype(int)
    assert base.size == layer.size == (200, 100)
    assert np.abs(drawn[20, 40:100] - ORANGE).max() == 0
    around = outer_outline(MASK, 1)
    assert np.abs(drawn[around] - HALO).max() == 0
    assert (np.abs(drawn[~MASK & ~around] - 0.7 * 120) <= 4).all()
    assert (drawn[30:50, 50:90, 0] > drawn[30:50, 50:90, 2] + 20).all()


def test_large_pictures_are_reduced_together_with_their_masks(read_page):
    mask = np.zeros((1000, 2000), bool)
    mask[:500, :1000] = True

    base, layer = read_page(cache_page(SUMMARY, [replace(CUP, mask=mask)])).pictures()

    assert base.size == layer.size == (420, 210)
    outside = np.asarray(layer.convert("RGBA"))[..., :3].sum(-1) == 0
    assert np.array_equal(outside, ~np.pad(np.ones((106, 211), bool), ((0, 104), (0, 209)))), "one pixel more for the line around it"


def test_marks_are_shown(read_page):
    page = read_page(cache_page(SUMMARY, [replace(CUP, mask=np.zeros((100, 200), bool), marks=("no target", "blank sentence"))]))

    assert page.text("li") == ["no target", "blank sentence"]
    assert page.text("bdi")[-1].replace("\xa0", " ") == "mask 0.0 % of 200×100"


def test_cards_can_be_sorted_by_area_and_by_the_words_of_their_sentences(read_page):
    (figure,) = read_page(cache_page(SUMMARY, [CUP])).attributes("figure")

    assert float(figure["data-area"]) == 0.12
    assert (figure["data-shortest"], figure["data-longest"], figure["data-category"], figure["data-image"]) == ("2", "4", "cup", "000&1")


@pytest.mark.parametrize("said", ["<script>alert(1)</script>", "الكأس \u202e الأحمر", "🎉 cup", 'a "cup" & $cards'])
def test_what_was_said_is_shown_as_it_was_written(read_page, said):
    page = read_page(cache_page(SUMMARY, [replace(CUP, sentences=(said,), category=said, image_id=said)]))

    assert page.text("sentence") == [said]
    assert said in page.text("bdi")
    assert len(page.attributes("script")) == 1
    page.assert_loads_nothing()


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100.0 %"), (0.0123, "1.2 %"), (0.0051, "0.51 %"), (0.00004, "0.004 %"), (0.000001, "under 0.001 %"), (0, "0.0 %")],
)
def test_small_parts_are_given_more_exactly(share, text):
    assert percentage(share) == text


def mask(pixels, height=100, width=100):
    """So many pixels."""
    drawn = np.zeros(height * width, bool)
    drawn[:pixels] = True
    return drawn.reshape(height, width)


@pytest.mark.parametrize(
    ("pixels", "small", "no_target", "sentences", "marks"),
    [
        (500, 5, False, ("the cup",), ()),
        (10, 1, False, ("the cup",), ()),
        (9, 1, False, ("the cup",), ("tiny mask",)),
        (9, 0, False, ("the cup",), ("tiny mask", "lost at 10 px")),
        (500, 0, False, ("the cup",), ("lost at 10 px",)),
        (0, 0, False, ("the cup",), ("empty mask",)),
        (0, 0, True, ("the cup",), ("no target",)),
        (500, 5, False, ("the cup", " \n"), ("blank sentence",)),
        (0, 0, True, ("",), ("no target", "blank sentence")),
    ],
)
def test_a_referent_is_marked_for_what_is_worth_a_look(pixels, small, no_target, sentences, marks):
    assert marks_of(mask(pixels), {10: mask(small, 10, 10)}, no_target, sentences) == marks


def test_a_mask_is_looked_at_at_every_size():
    prepared = {10: mask(0, 10, 10), 20: mask(1, 20, 20), 5: mask(0, 5, 5)}

    assert marks_of(mask(500), prepared, False, ("x",)) == ("lost at 10 px", "lost at 5 px")


@pytest.mark.parametrize("marks", [[()] * 7, [("tiny mask",)] * 7, []])
def test_all_are_shown_where_there_is_room(marks):
    selection = Selection.of(marks, 7)

    assert list(selection.places) == list(range(len(marks)))
    assert selection.shown_in_words == f"all {len(marks)} referents"


def test_others_are_spread_evenly():
    selection = Selection.of([()] * 1000, 4)

    assert selection.places == [125, 375, 625, 875]
    assert selection.shown_in_words == "4 of 1,000 referents, spread evenly over the annotations"
    assert selection.marks_in_words == "none"


def test_marked_ones_get_up_to_a_third_of_the_places_and_each_mark_its_share():
    marks = [("no target",)] * 500 + [("tiny mask",)] * 3 + [()] * 497

    selection = Selection.of(marks, 60)

    assert {500, 501, 502} <= set(selection.places)
    assert selection.places == sorted(set(selection.places))
    assert len(selection.places) == 60
    assert len([place for place in selection.places if place > 502]) in range(20, 30)


def test_the_choice_is_said_in_words():
    selection = Selection.of([("tiny mask", "lost at 96 px"), ("tiny mask",), *[()] * 8], 6)

    assert selection.by_mark == {"tiny mask": [0, 1], "lost at 96 px": [0]}
    assert selection.marks_in_words == "2 × tiny mask, 1 × lost at 96 px"
    shown = len({0, 1} & set(selection.places))
    assert selection.shown_in_words == f"6 of 10 referents: {shown} of the 2 worth a look and others, spread evenly over the annotations"


@pytest.mark.parametrize("limit", range(1, 12))
def test_there_are_never_more_than_were_asked_for(limit):
    marks = [("a",), ("b",), ("c",), ("d",), *[()] * 10]

    chosen = Selection.of(marks, limit).places

    assert len(chosen) == len(set(chosen)) == limit
