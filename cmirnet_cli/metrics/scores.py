"""Dividing, and nothing else: the counts of all sentences to the scores that papers report.

The conventions are those of the published evaluation protocol. A sentence's IoU is I/U, and 0 where the union is empty; overall IoU
is ΣI/ΣU; mean IoU is the mean over sentences; precision@x is the share of sentences with IoU ≥ x. Scores are percentages, 0 to 100.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {
        "paper": "prediction and target compared at the network's input size (the target resized to it, aspect not kept)",
        "original": "logits enlarged to the image's own size and compared with the target at its original size",
    }
)
"""The evaluation protocols, in words: what is compared with what. Numbers under different protocols are not comparable."""

CONVENTIONS: Mapping[str, str] = MappingProxyType(
    {
        "mask": "a pixel belongs to the prediction where the referent's logit is the larger one",
        "empty prediction": "an IoU of 0; its target's pixels count in the union of the overall IoU",
        "no target": "a prediction with any pixel has an IoU of 0, and its pixels count in the union of the overall IoU",
        "empty union": "neither prediction nor target has a pixel: an IoU of 0, reaching no precision; gIoU alone counts it as 1",
    }
)
"""What counts as what, in words."""

TENTHS = (5, 6, 7, 8, 9)
"""The thresholds of precision@x in tenths: integers, so that a sentence lying exactly on a threshold is never lost to rounding."""

SCORES = ("overall_iou", "mean_iou", *(f"precision@0.{tenths}" for tenths in TENTHS))
"""The names of the scores, in the order of `Scores.percentages`."""


@dataclass(frozen=True)
class Scores:
    """What a set of sentences scored, in percent (0 to 100).

    Attributes:
        overall_iou: ΣI/ΣU; 0 where no sentence has a pixel in its union. Large objects weigh more.
        mean_iou: mean of the sentences' IoU. Every sentence weighs the same.
        precision: share of sentences with IoU ≥ .5, .6, .7, .8 and .9, in this order.
        sentences: how many sentences were scored.
    """

    overall_iou: float
    mean_iou: float
    precision: tuple[float, ...]
    sentences: int

    @property
    def percentages(self) -> tuple[float, ...]:
        """Overall IoU, mean IoU, and the precisions."""
        return self.overall_iou, self.mean_iou, *self.precision

    def as_dict(self) -> dict[str, float | int]:
        """The scores under the names they are written with: `overall_iou`, `mean_iou`, `precision@0.5` … `precision@0.9`, `sentences`."""
        return dict(zip(SCORES, self.percentages, strict=True)) | {"sentences": self.sentences}


def sentence_iou(intersection: NDArray[np.int64], union: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each sentence's IoU, a fraction from 0 to 1: I/U, and 0 where the union is empty.

    Args:
        intersection: int64 (n,), pixels.
        union: int64 (n,), pixels.
    """
    return np.divide(intersection, union, out=np.zeros(union.shape), where=union > 0)


def score(intersection: NDArray[np.int64], union: NDArray[np.int64]) -> Scores:
    """Scores of n sentences; the same to the last bit whatever the order they come in.

    Args:
        intersection: int64 (n,), pixels that prediction and target of each sentence share.
        union: int64 (n,), pixels that either holds.

    Raises:
        ValueError: there are no sentences, or the counts cannot be those of masks.
    """
    _check(intersection, union)
    sentences = len(union)
    return Scores(
        overall_iou=100 * int(intersection.sum()) / max(int(union.sum()), 1),
        mean_iou=100 * math.fsum(sentence_iou(intersection, union)) / sentences,
        precision=tuple(100 * hits / sentences for hits in reached(intersection, union).sum(axis=1).tolist()),
        sentences=sentences,
    )


def reached(intersection: NDArray[np.int64], union: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool (5, n): whether each sentence's IoU is at least .5, .6, .7, .8, .9; an empty union reaches nothing. Arguments as for `score`."""
    return np.stack([(10 * intersection >= tenths * union) & (union > 0) for tenths in TENTHS])


def _check(intersection: NDArray[np.int64], union: NDArray[np.int64]) -> None:
    if intersection.shape != union.shape or union.ndim != 1:
        raise ValueError(f"intersections {intersection.shape} and unions {union.shape} must be one number for each sentence")
    if union.size == 0:
        raise ValueError("no sentences to score")
    if intersection.dtype != np.int64 or union.dtype != np.int64:
        raise ValueError(f"counts must be int64, not {intersection.dtype} and {union.dtype}")
    if (intersection < 0).any() or (intersection > union).any():
        raise ValueError("an intersection lies outside 0 … union: these are not counts of two masks")
