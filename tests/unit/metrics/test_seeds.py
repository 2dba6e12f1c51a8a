"""Means over runs are compared with a plain loop over runs and resamples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmirnet_cli.metrics.intervals import Resampling, score_with_intervals
from cmirnet_cli.metrics.scores import score
from cmirnet_cli.metrics.seeds import runs_differences, score_runs
from cmirnet_cli.metrics.sentences import SentenceScore, Tally

FEW = Resampling(resamples=100, seed=3)


def tallies(drawn, seeds: tuple[int, ...]) -> list[Tally]:
    return [Tally.of(drawn(12, seed), "paper") for seed in seeds]


def resampled(tally: Tally) -> list[float]:
    """The mean IoU in percent of each resample, image by image."""
    names = sorted(set(tally.images))
    draws = np.random.default_rng(FEW.seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=FEW.resamples)
    found = []
    for row in draws:
        ious = [
            tally.intersection[place] / tally.union[place] if tally.union[place] else 0.0
            for name, times in zip(names, row, strict=True)
            for _ in range(times)
            for place, image in enumerate(tally.images)
            if image == name
        ]
        found.append(100 * sum(ious) / len(ious))
    return found


def test_mean_and_deviation_are_those_of_the_runs_scores(drawn) -> None:
    runs = tallies(drawn, (0, 1, 2))
    scores, each = score_runs(runs, FEW), [score(run)["overall_iou"] for run in runs]
    assert scores.mean("overall_iou") == pytest.approx(np.mean(each))
    assert scores.deviation("overall_iou") == pytest.approx(np.std(each, ddof=1))


def test_a_single_run_has_no_deviation_and_the_interval_of_an_evaluation(drawn) -> None:
    (run,) = tallies(drawn, (4,))
    scores = score_runs([run], FEW)
    assert math.isnan(scores.deviation("mean_iou"))
    assert scores.intervals == score_with_intervals(run, FEW).intervals


def test_interval_is_that_of_the_mean_over_runs_on_the_same_resampled_images(drawn) -> None:
    runs = tallies(drawn, (0, 1))
    means = np.mean([resampled(run) for run in runs], axis=0)
    interval = score_runs(runs, FEW).intervals["mean_iou"]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_difference_is_paired_by_image(drawn) -> None:
    ours, theirs = tallies(drawn, (0, 1, 2)), tallies(drawn, (5, 6))
    gaps = np.mean([resampled(run) for run in ours], axis=0) - np.mean([resampled(run) for run in theirs], axis=0)
    found = runs_differences(ours, theirs, FEW)["mean_iou"]
    ours_mean, theirs_mean = (np.mean([score(run)["mean_iou"] for run in runs]) for runs in (ours, theirs))
    assert found.value == pytest.approx(ours_mean - theirs_mean)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(np.quantile(gaps, [0.025, 0.975])))


def test_runs_that_agree_differ_by_nothing_whatever_the_order_of_their_sentences(drawn) -> None:
    sentences: list[SentenceScore] = drawn(9, 0)
    there, back = Tally.of(sentences, "paper"), Tally.of(sentences[::-1], "paper")
    assert all(abs(each.value) < 1e-9 and each.interval.margin < 1e-9 for each in runs_differences([there], [back], FEW).values())
