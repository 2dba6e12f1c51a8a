"""Intervals are compared with a plain loop over the same draws, and with what statistics says of a mean."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmirnet_cli.metrics.intervals import (
    Difference,
    Interval,
    MeasuredScores,
    Resampling,
    differences,
    interval_of,
    multiplicities,
    resampled_sums,
    score_with_intervals,
    sums_by_image,
)
from cmirnet_cli.metrics.scores import METRICS, Metric, Scores, score
from cmirnet_cli.metrics.sentences import SentenceScore, Tally

FEW = Resampling(resamples=200, seed=3)
DICE = Metric("dice", "Dice", lambda tally: 2 * tally.intersection, lambda tally: tally.intersection + tally.union)


def scores(sentences: list[SentenceScore]) -> Scores:
    return score(Tally.of(sentences, "paper"), (*METRICS, DICE))


def measured(sentences: list[SentenceScore]) -> MeasuredScores:
    return score_with_intervals(Tally.of(sentences, "paper"), FEW, (*METRICS, DICE))


def differ(ours: list[SentenceScore], theirs: list[SentenceScore]) -> dict[str, Difference]:
    return differences(Tally.of(ours, "paper"), Tally.of(theirs, "paper"), FEW, (*METRICS, DICE))


def by_image(sentences: list[SentenceScore]) -> list[list[SentenceScore]]:
    """The sentences of each image, images in the order of their names."""
    names = sorted({sentence.image_id for sentence in sentences})
    return [[sentence for sentence in sentences if sentence.image_id == name] for name in names]


def one_by_one(sentences: list[SentenceScore], resampling: Resampling) -> list[tuple[float, ...]]:
    """The scores of every resample, each written out sentence by sentence."""
    images = by_image(sentences)
    found = []
    for block in multiplicities(len(images), resampling):
        for row in block.tolist():
            resample = [sentence for times, members in zip(row, images, strict=True) for sentence in members * times]
            found.append(tuple(scores(resample).values.values()))
    return found


def test_intervals_equal_those_of_a_loop_over_the_same_draws(drawn) -> None:
    sentences = drawn(30, 0)
    columns = zip(*one_by_one(sentences, FEW), strict=True)
    intervals = measured(sentences).intervals
    assert list(intervals) == [*(metric.name for metric in METRICS), "dice"]
    for interval, values in zip(intervals.values(), columns, strict=True):
        low, high = np.percentile(values, [2.5, 97.5])
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)


def test_paired_differences_equal_those_of_a_loop_over_the_same_draws(drawn) -> None:
    ours = drawn(25, 1)
    theirs = [SentenceScore(a.ref_id, a.sent_id, a.image_id, a.text, b.overlaps) for a, b in zip(ours, drawn(25, 2), strict=True)]
    pairs = zip(one_by_one(ours, FEW), one_by_one(theirs, FEW), strict=True)
    gaps = np.array([np.subtract(a, b) for a, b in pairs])
    found = differ(ours, theirs)
    for place, (name, difference) in enumerate(found.items()):
        low, high = np.percentile(gaps[:, place], [2.5, 97.5])
        assert (difference.interval.low, difference.interval.high) == pytest.approx((low, high), abs=1e-9), name
    assert found["mean_iou"].value == scores(ours)["mean_iou"] - scores(theirs)["mean_iou"]


def test_the_same_weights_differ_by_nothing_and_surely_so(drawn) -> None:
    sentences = drawn(20, 4)
    for difference in differ(sentences, list(reversed(sentences))).values():
        assert difference.value == 0
        assert (difference.interval.low, difference.interval.high) == pytest.approx((0, 0), abs=1e-9)


def test_a_resample_draws_as_many_whole_images_as_there_are(drawn) -> None:
    for block in multiplicities(30, FEW):
        assert (block.sum(axis=1) == 30).all()
    assert sum(len(block) for block in multiplicities(30, FEW)) == 200


def test_draws_depend_on_the_seed_and_on_nothing_else() -> None:
    once, again, other = (np.concatenate([*multiplicities(9, Resampling(50, seed))]) for seed in (0, 0, 1))
    assert (once == again).all()
    assert (once != other).any()


def test_more_draws_than_fit_at_once_are_those_of_one_generator() -> None:
    whole = np.random.default_rng(5).multinomial(60_000, np.full(60_000, 1 / 60_000), size=100)
    blocks = [*multiplicities(60_000, Resampling(100, 5))]
    assert len(blocks) > 1
    assert (np.concatenate(blocks) == whole).all()


def test_the_interval_of_a_mean_is_as_wide_as_statistics_says() -> None:
    values = np.random.default_rng(0).normal(size=(400, 1))
    sums = resampled_sums([f"{place}" for place in range(400)], values, Resampling(4000, 1))
    interval = interval_of(sums[:, 0] / 400)
    assert interval.margin == pytest.approx(1.96 * values.std() / math.sqrt(400), rel=0.05)


def test_sentences_of_one_image_are_drawn_together_which_widens_the_interval(drawn) -> None:
    sentences = drawn(60, 6)
    apart = [SentenceScore(s.ref_id, s.sent_id, f"{s.sent_id}", s.text, s.overlaps) for s in sentences]
    together, alone = (measured(one).intervals["mean_iou"].margin for one in (sentences, apart))
    assert together > 1.1 * alone


def test_sums_by_image_by_hand() -> None:
    columns = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    assert sums_by_image(["b", "a", "b"], columns).tolist() == [[2.0, 20.0], [5.0, 50.0]]


def test_one_image_has_no_interval(drawn) -> None:
    interval = measured(drawn(1, 0)).intervals["mean_iou"]
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_values_that_are_not_there_are_left_out_of_the_interval() -> None:
    values = np.arange(101.0)
    assert interval_of(np.concatenate([values, [np.nan] * 7])) == interval_of(values) == Interval(2.5, 97.5)
