"""How far chance alone could move a score: bootstrap over images.

The sentences of one image share its pixels and often its referent, so they are no independent draws; whole images are. A resample draws as
many images as there are, with replacement, each with all its sentences; a score of the resample is a ratio of its sums. The interval
holds the middle 95 % of the resamples' scores (percentile bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, ch. 13).
What it does not hold: the luck of a training's seed. With a few dozen images or less it is too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
