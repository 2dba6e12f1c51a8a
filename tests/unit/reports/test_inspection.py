"""Marks and choices are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cmirnet_cli.reports.cache_page import Selection, marks_of


def mask(pixels, height=100, width=100):
    drawn = np.zeros(height * width, bool)
    drawn[:pixels] = True
    return drawn.reshape(height, width)


@pytest.mark.parametrize(
    ("pixels", "small", "category", "sentences", "marks"),
    [
        (500, 5, "cup", ("the cup",), ()),
        (500, 5, "", ("the cup",), ()),
        (10, 1, "cup", ("the cup",), ()),
        (9, 1, "cup", ("the cup",), ("tiny mask",)),
        (9, 0, "cup", ("the cup",), ("tiny mask", "lost at 10 px")),
        (500, 0, "cup", ("the cup",), ("lost at 10 px",)),
        (0, 0, "cup", ("the cup",), ("empty mask",)),
        (0, 0, "", ("the cup",), ("no target",)),
        (500, 5, "cup", ("the cup", " \n"), ("blank sentence",)),
        (0, 0, "", ("",), ("no target", "blank sentence")),
    ],
)
def test_a_referent_is_marked_for_what_is_worth_a_look(pixels, small, category, sentences, marks):
    assert marks_of(mask(pixels), {10: mask(small, 10, 10)}, category, sentences) == marks


def test_a_mask_is_looked_at_at_every_size():
    prepared = {10: mask(0, 10, 10), 20: mask(1, 20, 20), 5: mask(0, 5, 5)}

    assert marks_of(mask(500), prepared, "cup", ("x",)) == ("lost at 10 px", "lost at 5 px")


@pytest.mark.parametrize("marks", [[()] * 7, [("tiny mask",)] * 7, []])
def test_all_are_shown_where_there_is_room(marks):
    selection = Selection.of(marks, 7)

    assert list(selection.chosen) == list(range(len(marks)))
    assert selection.shown_in_words == f"all {len(marks)} referents"


def test_others_are_spread_evenly():
    selection = Selection.of([()] * 1000, 4)

    assert selection.chosen == [125, 375, 625, 875]
    assert selection.shown_in_words == "4 of 1,000 referents, spread evenly over the annotations"
    assert selection.marks_in_words == "none"


def test_marked_ones_get_up_to_a_third_of_the_places_and_each_mark_its_share():
    marks = [("no target",)] * 500 + [("tiny mask",)] * 3 + [()] * 497

    selection = Selection.of(marks, 60)

    assert {500, 501, 502} <= set(selection.chosen)
    assert selection.chosen == sorted(set(selection.chosen))
    assert len(selection.chosen) == 60
    assert len([place for place in selection.chosen if place > 502]) in range(20, 30)


def test_the_choice_is_said_in_words():
    selection = Selection.of([("tiny mask", "lost at 96 px"), ("tiny mask",), *[()] * 8], 6)

    assert selection.by_mark == {"tiny mask": [0, 1], "lost at 96 px": [0]}
    assert selection.marks_in_words == "2 × tiny mask, 1 × lost at 96 px"
    shown = len({0, 1} & set(selection.chosen))
    assert selection.shown_in_words == f"6 of 10 referents: {shown} of the 2 worth a look and others, spread evenly over the annotations"


@pytest.mark.parametrize("limit", range(1, 12))
def test_there_are_never_more_than_were_asked_for(limit):
    marks = [("a",), ("b",), ("c",), ("d",), *[()] * 10]

    chosen = Selection.of(marks, limit).chosen

    assert len(chosen) == len(set(chosen)) == limit
