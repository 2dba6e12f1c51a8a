"""scores.json and sentences.jsonl, as programs read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cmirnet_cli.metrics.intervals import Resampling
from cmirnet_cli.metrics.sentences import Overlap, ReferentStats, SentenceScore, SplitScores
from cmirnet_cli.metrics.split_report import ScoringOptions, report
from cmirnet_cli.reports.evaluation.results import describe, sentence_lines

SCORING = ScoringOptions(Resampling(resamples=100, seed=7), empty_below=20)
RLE = {"size": [4, 5], "counts": "52b0"}


def sentence(number: int, inside: int, union: int, rle: dict[str, Any] | None = None) -> SentenceScore:
    overlaps = {"paper": Overlap(inside, union, inside), "original": Overlap(2 * inside, 2 * union, 2 * inside)}
    return SentenceScore(number, 10 + number, f"{number // 2}", "the réd cup", overlaps, rle)


@pytest.fixture
def scored() -> SplitScores:
    """Four sentences about two images, one of which refers to nothing."""
    own = (sentence(0, 5, 10, RLE), sentence(1, 10, 10), sentence(2, 0, 0), sentence(3, 0, 10))
    blind = tuple(sentence(number, 0, 10) for number in range(4))
    facts = {
        0: ReferentStats(500, "cup", 1),
        1: ReferentStats(5000, "cup", 1),
        2: ReferentStats(0, "", 0, no_target=True),
        3: ReferentStats(50000, "dog", 0),
    }
    return SplitScores("testA", ("paper", "original"), own, {"no-image": blind}, facts)


@pytest.fixture
def described(scored: SplitScores) -> dict[str, Any]:
    return json.loads(json.dumps(describe([report(scored, SCORING)], SCORING), allow_nan=False))


def test_scores_stand_under_split_and_protocol_with_their_intervals(described):
    paper = described["splits"]["testA"]["paper"]
    assert (paper["overall_iou"], paper["mean_iou"], paper["sentences"], paper["images"]) == (50.0, 37.5, 4, 2)
    assert paper["interval"].keys() == {"overall_iou", "mean_iou", *(f"precision@0.{tenths}" for tenths in range(5, 10))}
    assert paper["interval"]["mean_iou"] == [0.0, 75.0]


def test_everything_is_said_in_words(described):
    assert "network's input size" in described["protocols"]["paper"]
    assert "grey" in described["controls"]["no-image"]
    assert described["conventions"].keys() == {"mask", "empty prediction", "no target", "empty union"}
    assert "32²" in described["groups"]["size"]
    assert "bootstrap" in described["intervals"].pop("method")
    assert described["intervals"] == {"level": 0.95, "resamples": 100, "seed": 7}


def test_a_control_stands_beside_the_scores_with_the_difference(described):
    control = described["splits"]["testA"]["paper"]["control"]["no-image"]
    assert control["mean_iou"] == 0
    assert control["difference"]["mean_iou"] == {"value": 37.5, "low": 0.0, "high": 75.0}


def test_generalised_scores_stand_beside_the_others(described):
    found = described["splits"]["testA"]["original"]["generalised"]
    assert (found["N-acc"], found["empty_below"], found["targets"], found["no_targets"]) == (100, 20, 3, 1)
    assert found["gIoU"] == pytest.approx(100 * (0 + 1 + 1 + 0) / 4), "10 pixels are fewer than 20"


def test_groups_hold_measurements_of_their_own(described):
    sizes = described["splits"]["testA"]["paper"]["groups"]["size"]
    assert {name: one["sentences"] for name, one in sizes.items()} == {"no target": 1, "small": 1, "medium": 1, "large": 1}
    assert sizes["medium"]["mean_iou"] == 100
    assert sizes["medium"]["interval"]["mean_iou"] == [None, None], "one image has no interval"


def test_sentences_have_ids_facts_counts_and_the_mask_where_it_was_kept(scored):
    lines = list(sentence_lines([scored]))
    assert "réd" in lines[0]
    first, second, *_ = map(json.loads, lines)
    assert first == {
        "split": "testA",
        "image_id": "0",
        "ref_id": 0,
        "sent_id": 10,
        "sentence": "the réd cup",
        "area": 500,
        "category": "cup",
        "distractors": 1,
        "no_target": False,
        "paper": {"intersection": 5, "union": 10, "predicted": 5, "iou": 0.5},
        "original": {"intersection": 10, "union": 20, "predicted": 10, "iou": 0.5},
        "rle": RLE,
    }
    assert "rle" not in second
    assert len(lines) == 4
