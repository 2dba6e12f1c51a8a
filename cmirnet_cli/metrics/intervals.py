"""Scores with the interval that chance alone could move them in (bootstrap over images), and differences of scores with theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.metrics.scores import SCORES, Scores, reached, sentence_iou
from cmirnet_cli.metrics.sentences import SentenceScore, counts_of, summarise

Floats = NDArray[np.float64]

TAILS = (0.025, 0.975)
"""Where the interval ends, as shares of the resamples."""

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


def multiplicities(images: int, resampling: Resampling) -> Iterator[NDArray[np.int64]]:
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
    """The sums (resamples, k) of every resample, NaN where there is but one image to draw from; arguments as for `sums_by_image`."""
    sums = sums_by_image(images, columns)
    if len(sums) < 2:
        return np.full((resampling.resamples, columns.shape[1]), np.nan)
    return np.concatenate([drawn @ sums for drawn in multiplicities(len(sums), resampling)])


def interval_of(values: Floats) -> Interval:
    """The interval of resampled values (resamples,); those that are NaN are left out."""
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, TAILS) if known.size else (np.nan, np.nan)
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class MeasuredScores:
    """What sentences scored under one protocol, with the 95 % interval of each score by its name; all in percent."""

    scores: Scores
    images: int
    intervals: Mapping[str, Interval]


@dataclass(frozen=True)
class Difference:
    """One score less another one of the same sentences, in percentage points, and its 95 % interval over the same resampled images."""

    value: float
    interval: Interval


def measure(sentences: Sequence[SentenceScore], protocol: str, resampling: Resampling) -> MeasuredScores:
    """The scores of sentences under one protocol; raises as `scores.score` does."""
    values = _resampled(sentences, protocol, resampling)
    intervals = {name: interval_of(column) for name, column in zip(SCORES, values.T, strict=True)}
    return MeasuredScores(summarise(sentences, protocol), len({sentence.image_id for sentence in sentences}), intervals)


def differences(
    ours: Sequence[SentenceScore], theirs: Sequence[SentenceScore], protocol: str, resampling: Resampling
) -> dict[str, Difference]:
    """Score → ours less theirs, paired: both are resampled with the same images.

    Args:
        ours: sentences in any order.
        theirs: the same sentences of the same images, judged otherwise.
        protocol: under which both are scored.
        resampling: how often, and from which seed.
    """
    gaps = _resampled(ours, protocol, resampling) - _resampled(theirs, protocol, resampling)
    pairs = zip(summarise(ours, protocol).percentages, summarise(theirs, protocol).percentages, strict=True)
    return {name: Difference(a - b, interval_of(gap)) for name, (a, b), gap in zip(SCORES, pairs, gaps.T, strict=True)}


def _resampled(sentences: Sequence[SentenceScore], protocol: str, resampling: Resampling) -> Floats:
    """The scores (resamples, 7) of every resample."""
    images = [sentence.image_id for sentence in sentences]
    return _divided(resampled_sums(images, _columns(sentences, protocol), resampling))


def _columns(sentences: Sequence[SentenceScore], protocol: str) -> Floats:
    """What the scores sum over sentences: one, intersection, union, IoU, precision's hits (n, 9)."""
    intersection, union = counts_of(sentences, protocol)
    hits = reached(intersection, union)
    return np.column_stack([np.ones(len(union)), intersection, union, sentence_iou(intersection, union), hits.T])


def _divided(sums: Floats) -> Floats:
    """Sums (r, 9) to scores (r, 7) in percent."""
    count, intersection, union, ious = sums.T[:4]
    overall = intersection / np.maximum(union, 1)
    return 100 * np.column_stack([overall, ious / count, sums[:, 4:] / count[:, None]])
