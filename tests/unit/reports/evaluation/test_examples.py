"""Which sentences are shown, judged by hand-made splits."""

from __future__ import annotations

import pytest

from cmirnet_cli.metrics.sentences import Overlap, SentenceScore, SplitScores
from cmirnet_cli.reports.evaluation.examples import choose, evenly, pick_places


def split(paper: list[int], original: list[int] | None = None) -> SplitScores:
    """Sentences with these IoUs in thousandths under one protocol or two."""
    both = {"paper": paper, **({"original": original} if original else {})}
    sentences = [
        SentenceScore(place, place, "1", "cup", {name: Overlap(ious[place], 1000, 1000) for name, ious in both.items()})
        for place in range(len(paper))
    ]
    return SplitScores("val", tuple(both), tuple(sentences))


@pytest.mark.parametrize("limit", [3, 100])
def test_all_are_shown_worst_first_where_there_is_room(limit):
    examples = choose(split([900, 100, 500]), limit)
    assert examples.places == [1, 2, 0]
    assert examples.in_words == "all 3 sentences"


def test_the_worst_the_best_and_some_of_every_step_are_shown():
    ious = [1] * 4000 + [999] * 4000 + [25 + 50 * step for step in range(20)] + [0, 0, 1000]
    chosen = choose(split(ious), 60).places
    assert len(chosen) == len(set(chosen)) == 60
    assert {8020, 8021, 8022} < set(chosen)
    assert {ious[place] * 20 // 1001 for place in chosen} == set(range(20))
    assert [ious[place] for place in chosen] == sorted(ious[place] for place in chosen)


def test_every_protocol_has_its_own_worst_best_and_steps():
    paper = [500] * 3000
    original = [500] * 2980 + [25 + 50 * step for step in range(20)]
    chosen = choose(split(paper, original), 80).places
    assert len(chosen) == 80
    assert {original[place] // 50 for place in chosen} == set(range(20))


@pytest.mark.parametrize("limit", [80, 100, 300])
def test_there_are_never_more_than_the_limit(limit):
    ious = list(range(1001)) * 3
    assert len(choose(split(ious, ious[::-1]), limit).places) == limit


def test_the_choice_is_said_in_words():
    said = choose(split(list(range(1000))), 300).in_words
    assert said.startswith("300 of 1,000 sentences: under each protocol the 100 worst, the 50 best and 7 of every bar of the histogram;")


def test_few_of_many_are_spread_evenly():
    assert evenly(range(1000), 4) == [125, 375, 625, 875]
    assert evenly("ab", 5) == ["a", "b"]
    assert pick_places([9, 9, 3], 10, 4) == [2, 3, 7, 9]
    assert pick_places([], 3, 9) == [0, 1, 2]
