"""From the probability of each pixel to a mask, and to its largest connected part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.engine.prediction import THRESHOLD
from cmirnet_cli.engine.prediction.prediction import Prediction
from cmirnet_cli.engine.rows import require_numbers
from cmirnet_cli.errors import UsageError
from cmirnet_cli.images.pixels import Mask, Pixels

Indices: TypeAlias = NDArray[np.intp]
Probabilities: TypeAlias = NDArray[np.float32]

_BORDER = 2
"""Empty columns between one row and the next in the row of all rows, so that no run touches across the image's border."""


@dataclass(frozen=True)
class MaskRule:
    """How probabilities become a mask.

    Attributes:
        threshold: a pixel is in the mask if the network gives the referent a higher probability.
        largest_component: whether only the largest connected part of the mask is kept.
        min_score: a mask with a lower score is emptied.

    Raises:
        UsageError: the threshold or the lowest score is not a probability.
    """

    threshold: float = THRESHOLD
    largest_component: bool = False
    min_score: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("lowest score", self.min_score)):
            if not 0 <= value <= 1:
                raise UsageError(f"the {name} {value:g} is not a probability", hint="choose a number from 0 to 1")


def decide(expression: str, image: Pixels, probability: Probabilities, rule: MaskRule, *, known: bool = True) -> Prediction:
    """The mask that a rule makes of the referent's probability at every pixel of an image, float32 (H, W), which is kept beside it.

    Raises:
        WeightsError: a probability is not a number.
    """
    require_numbers(probability, [expression])
    mask = probability > rule.threshold
    if rule.largest_component:
        mask = largest_component(mask)
    score = float(probability[mask].mean()) if mask.any() else 0.0
    if score < rule.min_score:
        mask = np.zeros_like(mask)
    return Prediction(expression, score, mask, image, probability, known)


def largest_component(mask: Mask) -> Mask:
    """The connected part of a bool (H, W) mask that has the most pixels; of equals the one that begins first in reading order.

    Pixels are connected where they share an edge or a corner. An empty mask stays empty.
    """
    padded = np.pad(mask, ((0, 0), (1, _BORDER - 1))).reshape(-1)
    edges = np.flatnonzero(padded[1:] != padded[:-1]) + 1
    runs = _Runs(edges[::2], edges[1::2], mask.shape[1] + _BORDER)
    if not len(runs.starts):
        return mask.copy()
    labels = _labels(len(runs.starts), *_touching(runs))
    sizes = np.bincount(labels, weights=runs.ends - runs.starts)
    largest = labels == sizes.argmax()
    height, width = mask.shape
    steps = np.zeros(height * runs.stride + 1, np.int8)
    steps[runs.starts[largest]] = 1
    steps[runs.ends[largest]] = -1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_).reshape(height, runs.stride)[:, 1 : width + 1]


@dataclass(frozen=True)
class _Runs:
    """The rows' runs of set pixels, as places in the row of all rows: the first pixel's, and the one after the last."""

    starts: Indices
    ends: Indices
    stride: int


def _touching(runs: _Runs) -> tuple[Indices, Indices]:
    """Every two runs of neighbouring rows that share an edge or a corner: those of the upper row, and theirs below."""
    first = np.searchsorted(runs.ends, runs.starts + runs.stride, side="left")
    counts = np.maximum(np.searchsorted(runs.starts, runs.ends + runs.stride, side="right") - first, 0)
    upper = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, first[upper] + within


def _labels(count: int, upper: Indices, lower: Indices) -> Indices:
    """For each run the first run that it is connected with: both of a pair take the lower label, until nothing changes."""
    labels = np.arange(count)
    while (labels[upper] != labels[lower]).any():
        lowest = np.minimum(labels[upper], labels[lower])
        roots = np.concatenate([labels[upper], labels[lower]])
        np.minimum.at(labels, roots, np.concatenate([lowest, lowest]))
        while (labels != (further := labels[labels])).any():  # each label to the end of its chain
            labels = further
    return labels
