"""Scores with their intervals, and differences of scores with theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cmirnet_cli.metrics.bootstrap import Floats, Interval, Resampling, interval_of, resampled_sums
from cmirnet_cli.metrics.scores import SCORES, Scores, reached, sentence_iou
from cmirnet_cli.metrics.sentences import SentenceScore, counts_of, summarise


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
