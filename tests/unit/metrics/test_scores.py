"""Scores are compared with hand counts and with a plain loop in exact fractions."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from cmirnet_cli.config import Settings
from cmirnet_cli.metrics.scores import METRICS, PROTOCOLS, TENTHS, Scores, score
from cmirnet_cli.metrics.sentences import Tally

Ints = NDArray[np.int64]


def scored(intersection: Ints, union: Ints) -> Scores:
    """Scores of sentences that have a target and whose predictions are the union, which no score here depends on."""
    return score(Tally(["0"] * len(union), np.zeros(len(union), bool), intersection, union, union))


def precision(scores: Scores) -> list[float]:
    return [scores[f"precision@0.{tenths}"] for tenths in TENTHS]


def counts(*pairs: tuple[int, int]) -> tuple[Ints, Ints]:
    intersection, union = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return intersection, union


def random_counts(n: int, seed: int) -> tuple[Ints, Ints]:
    generator = np.random.default_rng(seed)
    union = generator.integers(0, 50, n)
    return generator.integers(0, union + 1), union


def test_scores_by_hand() -> None:
    scores = scored(*counts((9, 10), (30, 60), (0, 20), (0, 10)))

    assert scores["overall_iou"] == 39.0
    assert scores["mean_iou"] == pytest.approx(35.0, abs=1e-12)
    assert precision(scores) == [50.0, 25.0, 25.0, 25.0, 25.0]
    assert scores.sentences == 4


def test_scores_equal_a_loop_in_exact_fractions() -> None:
    intersection, union = random_counts(500, 0)
    ious = [Fraction(int(i), int(u)) if u else Fraction(0) for i, u in zip(intersection, union, strict=True)]

    scores = scored(intersection, union)

    assert scores["overall_iou"] == pytest.approx(float(100 * Fraction(int(intersection.sum()), int(union.sum()))), abs=1e-12)
    assert scores["mean_iou"] == pytest.approx(float(100 * sum(ious) / 500), abs=1e-12)
    for value, threshold in zip(precision(scores), ("0.5", "0.6", "0.7", "0.8", "0.9"), strict=True):
        assert value == 100 * sum(iou >= Fraction(threshold) for iou in ious) / 500


@pytest.mark.parametrize("tenths", [5, 6, 7, 8, 9])
@pytest.mark.parametrize("scale", [1, 7, 230_400, 10**9 + 7])
def test_an_iou_exactly_on_a_threshold_reaches_it_and_one_pixel_less_does_not(tenths: int, scale: int) -> None:
    on = scored(*counts((tenths * scale, 10 * scale)))
    below = scored(*counts((tenths * scale - 1, 10 * scale)))

    assert precision(on) == [100.0 if threshold <= tenths else 0.0 for threshold in (5, 6, 7, 8, 9)]
    assert precision(below)[tenths - 5] == 0.0


def test_a_sentence_with_an_empty_union_has_an_iou_of_zero_and_still_counts() -> None:
    scores = scored(*counts((0, 0), (10, 10)))

    assert (scores["overall_iou"], scores["mean_iou"], scores.sentences) == (100.0, 50.0, 2)
    assert precision(scores) == [50.0] * 5


def test_only_empty_unions_score_zero_everywhere() -> None:
    assert set(scored(*counts((0, 0), (0, 0))).values.values()) == {0.0}


def test_an_empty_prediction_scores_zero_and_its_target_weighs_in_overall_iou() -> None:
    assert scored(*counts((0, 30), (30, 30)))["overall_iou"] == 50.0


def test_scores_are_the_same_bit_for_bit_in_any_order_and_partition() -> None:
    intersection, union = random_counts(2_000, 1)
    whole = scored(intersection, union)

    for seed in range(5):
        order = np.random.default_rng(seed).permutation(2_000)
        parts = np.array_split(order, seed + 1)
        shuffled = scored(np.concatenate([intersection[p] for p in parts]), np.concatenate([union[p] for p in parts]))
        assert shuffled == whole


def test_sums_beyond_32_bits_stay_exact() -> None:
    assert scored(np.full(40_000, 230_399), np.full(40_000, 230_400))["overall_iou"] == 100 * 230_399 / 230_400


@pytest.mark.parametrize(
    ("no_target", "expected"),
    [
        ([0, 0, 0, 1], [100 * 2 / 3, 100 / 3, 100 / 3, 100 / 3, 100 / 3]),
        ([0, 0, 0, 1, 1, 1], [100 * 2 / 3, 100 / 3, 100 / 3, 100 / 3, 100 / 3]),
        ([0, 0, 0], [100 * 2 / 3, 100 / 3, 100 / 3, 100 / 3, 100 / 3]),
    ],
)
def test_precision_counts_the_sentences_with_a_target_alone(no_target: list[int], expected: list[float]) -> None:
    """Three sentences with IoUs of 9/10, 5/10 and 0, and sentences that refer to nothing beside them, empty or wrongly filled."""
    nothing = [(0, 0), (0, 300), (0, 0)][: sum(no_target)]
    intersection, union = counts((9, 10), (5, 10), (0, 20), *nothing)
    scores = score(Tally(["0"] * len(union), np.array(no_target, bool), intersection, union, union))
    assert precision(scores) == pytest.approx(expected, abs=1e-12)
    assert scores["mean_iou"] == pytest.approx(100 * (0.9 + 0.5) / len(union))


def test_where_nothing_has_a_target_precision_is_no_number() -> None:
    intersection, union = counts((0, 0), (0, 300))
    assert np.isnan(precision(score(Tally(["0", "1"], np.ones(2, bool), intersection, union, union)))).all()


def test_scores_as_a_dict_survive_json() -> None:
    written = json.loads(json.dumps(scored(*counts((9, 10), (5, 10))).as_dict()))

    assert written == {
        "overall_iou": 70.0,
        "mean_iou": 70.0,
        "precision@0.5": 100.0,
        "precision@0.6": 50.0,
        "precision@0.7": 50.0,
        "precision@0.8": 50.0,
        "precision@0.9": 50.0,
        "sentences": 2,
    }


def test_no_sentences_have_no_score() -> None:
    with pytest.raises(ValueError, match="no sentences to score"):
        scored(*counts())


@pytest.mark.parametrize(
    ("intersection", "union", "message"),
    [
        (np.array([1, 2]), np.array([3]), "one number for each sentence"),
        (np.array([[1]]), np.array([[3]]), "one number for each sentence"),
        (np.array([1.0]), np.array([3.0]), "must be int64, not float64"),
        (np.array([4]), np.array([3]), "not counts of two masks"),
        (np.array([-1]), np.array([3]), "not counts of two masks"),
    ],
)
def test_numbers_that_are_no_counts_are_refused(intersection: NDArray[np.int64], union: NDArray[np.int64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scored(intersection, union)


def test_both_protocols_are_described_in_words() -> None:
    assert list(PROTOCOLS) == ["paper", "original"]
    assert "network's input size" in PROTOCOLS["paper"]
    assert "image's own size" in PROTOCOLS["original"]


def test_validation_selects_weights_by_any_main_metric() -> None:
    choices = get_args(type(Settings().loop).model_fields["select"].annotation)
    assert choices == tuple(metric.name for metric in METRICS if metric.level == "main")
