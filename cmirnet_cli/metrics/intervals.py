"""Scores with their 95 % confidence intervals (percentile bootstrap over images), and differences of scores with theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cmirnet_cli.metrics.scores import METRICS, Metric, Scores, score
from cmirnet_cli.metrics.sentences import Floats, Ints, Tally

LEVEL = 0.95
"""The share of the resamples that an interval holds."""

_TAILS = (0.025, 0.975)
"""Where it ends: as many resamples lie below it as above."""

_AT_ONCE = 1 << 22
"""Multiplicities drawn at a time; the draws do not depend on it."""


@dataclass(frozen=True)
class Resampling:
    """How many resamples are drawn, and from which seed: equal ones draw the same images from equally many."""

    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of the resamples' values; NaN where no resample has one."""

    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half the width."""
        return (self.high - self.low) / 2


def multiplicities(images: int, resampling: Resampling) -> Iterator[Ints]:
    """Blocks int64 (r, images): how often each image is drawn in each resample; every row sums to `images`."""
    rng = np.random.default_rng(resampling.seed)
    left, rows = resampling.resamples, max(1, _AT_ONCE // images)
    while left > 0:
        yield rng.multinomial(images, np.full(images, 1 / images), size=min(rows, left))
        left -= rows


def sums_by_image(images: Sequence[str], columns: Floats) -> Floats:
    """The sums (m, k) over each image's sentences, images in the order of their names.

    Args:
        images: the image of each of n sentences.
        columns: float64 (n, k), what is summed.
    """
    names, places = np.unique(np.asarray(images), return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, places, columns)
    return sums


def resampled_sums(images: Sequence[str], columns: Floats, resampling: Resampling) -> Floats:
    """The sums (resamples, k) of every resample; none (0, k) where there is but one image to draw from. Arguments: `sums_by_image`."""
    sums = sums_by_image(images, columns)
    if len(sums) < 2:
        return np.empty((0, columns.shape[1]))
    return np.concatenate([drawn @ sums for drawn in multiplicities(len(sums), resampling)])


def interval_of(values: Floats) -> Interval:
    """The interval of resampled values (resamples,); those that are NaN are left out."""
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, _TAILS) if known.size else (np.nan, np.nan)
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class MeasuredScores:
    """What sentences scored under one protocol.

    Attributes:
        metrics: by which they were scored, in the order of columns and files.
        scores: in percent.
        images: how many images the sentences are about.
        intervals: the 95 % interval of each score by its metric's name, in percent.
    """

    metrics: tuple[Metric, ...]
    scores: Scores
    images: int
    intervals: Mapping[str, Interval]


@dataclass(frozen=True)
class Difference:
    """One score less another one of the same sentences, in percentage points, and its 95 % interval over the same resampled images."""

    value: float
    interval: Interval


def score_with_intervals(tally: Tally, resampling: Resampling, metrics: Sequence[Metric] = METRICS) -> MeasuredScores:
    """The scores of a tally's sentences with their intervals."""
    values = resampled_scores(tally, resampling, metrics)
    intervals = {metric.name: interval_of(column) for metric, column in zip(metrics, values.T, strict=True)}
    return MeasuredScores(tuple(metrics), score(tally, metrics), len(set(tally.images)), intervals)


def differences(ours: Tally, theirs: Tally, resampling: Resampling, metrics: Sequence[Metric] = METRICS) -> dict[str, Difference]:
    """Metric's name → our score less theirs, paired: both are resampled with the same images.

    Args:
        ours: sentences in any order.
        theirs: the same sentences of the same images with other predictions.
        resampling: how often, and from which seed.
        metrics: whose scores are compared.
    """
    gaps = resampled_scores(ours, resampling, metrics) - resampled_scores(theirs, resampling, metrics)
    a, b = score(ours, metrics), score(theirs, metrics)
    return {each.name: Difference(a[each.name] - b[each.name], interval_of(gap)) for each, gap in zip(metrics, gaps.T, strict=True)}


def resampled_scores(tally: Tally, resampling: Resampling, metrics: Sequence[Metric]) -> Floats:
    """The scores (resamples, metrics) of every resample, in percent."""
    columns = [metric.numerator(tally) for metric in metrics] + [metric.denominator(tally) for metric in metrics]
    parts, wholes = np.hsplit(resampled_sums(tally.images, np.column_stack(columns).astype(np.float64), resampling), 2)
    return np.column_stack([metric.percent(*sums) for metric, *sums in zip(metrics, parts.T, wholes.T, strict=True)])
