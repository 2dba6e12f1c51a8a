"""Scores of several runs of one recipe: their mean, how far seeds spread them, and how far other images could move the mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cmirnet_cli.metrics.intervals import Difference, Interval, Resampling, interval_of, resampled_scores
from cmirnet_cli.metrics.scores import METRICS, Metric, Scores, score
from cmirnet_cli.metrics.sentences import Floats, Tally


@dataclass(frozen=True)
class RunsScores:
    """What the runs of one recipe scored on the same sentences.

    Attributes:
        metrics: by which they were scored.
        runs: the scores of each run, in percent.
        intervals: the 95 % interval of each score's mean over the runs, by metric's name: the same resampled images for all runs.
    """

    metrics: tuple[Metric, ...]
    runs: tuple[Scores, ...]
    intervals: Mapping[str, Interval]

    def mean(self, name: str) -> float:
        """The mean of a score over the runs, in percent."""
        return math.fsum(each[name] for each in self.runs) / len(self.runs)

    def deviation(self, name: str) -> float:
        """The standard deviation of a score over the runs, in percentage points (n - 1); NaN of one run, or where a score is missing."""
        return float(np.std([each[name] for each in self.runs], ddof=1)) if len(self.runs) > 1 else math.nan


def score_runs(runs: Sequence[Tally], resampling: Resampling, metrics: Sequence[Metric] = METRICS) -> RunsScores:
    """The scores of runs with their means' intervals."""
    means = _resampled_means(runs, resampling, metrics)
    intervals = {metric.name: interval_of(column) for metric, column in zip(metrics, means.T, strict=True)}
    return RunsScores(tuple(metrics), tuple(score(tally, metrics) for tally in runs), intervals)


def runs_differences(
    ours: Sequence[Tally], theirs: Sequence[Tally], resampling: Resampling, metrics: Sequence[Metric] = METRICS
) -> dict[str, Difference]:
    """Metric's name → the mean of our runs less the mean of theirs, paired: all runs are resampled with the same images."""
    gaps = _resampled_means(ours, resampling, metrics) - _resampled_means(theirs, resampling, metrics)
    values = [np.mean([[score(tally, metrics)[each.name] for each in metrics] for tally in runs], axis=0) for runs in (ours, theirs)]
    return {each.name: Difference(float(a - b), interval_of(gap)) for each, a, b, gap in zip(metrics, *values, gaps.T, strict=True)}


def _resampled_means(runs: Sequence[Tally], resampling: Resampling, metrics: Sequence[Metric]) -> Floats:
    """The mean over the runs (resamples, metrics) of every resample's scores."""
    means: Floats = np.mean([resampled_scores(tally, resampling, metrics) for tally in runs], axis=0)
    return means
