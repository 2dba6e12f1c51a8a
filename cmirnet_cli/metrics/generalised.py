"""Scores for sentences that may refer to several objects or to nothing: gIoU, cIoU, N-acc and T-acc.

Defined by Liu, Ding, Jiang, "GRES: Generalized Referring Expression Segmentation" (CVPR 2023), the paper of gRefCOCO:

- a sentence that refers to nothing scores an IoU of 1 where the prediction is empty and 0 where it is not; any other sentence scores I/U;
- gIoU is the mean of these; cIoU is ΣI/ΣU, where a rightly empty prediction adds nothing and a wrongly filled one its pixels to ΣU;
- N-acc is the share of the sentences without target whose prediction is empty, TP/(TP+FN); T-acc is the share of those with a target
  whose prediction is not, TN/(TN+FP).

When is a prediction empty? The paper's own network says so with an output of its own. For networks without one, such as this, masks of
fewer than 50 positive pixels are cleared; that rule is `empty_below`. A cleared mask shares no pixel and adds only its target to ΣU.

What is uncertain: the 50 pixels are as widely quoted from that paper, whose text was not at hand here; nor is it known at which size
its authors count them, so they are counted at the size of the protocol. The code published with it (ReLA, `refer_evaluation.py`)
divides N-acc by TP+FN+1 and calls TP/(TP+FP+1) T-acc; the definitions above are the paper's. Where its network wrongly says
"nothing there", that code keeps the mask's pixels in ΣU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.metrics.intervals import Floats, Interval, Resampling, interval_of, resampled_sums

GENERALISED = ("gIoU", "cIoU", "N-acc", "T-acc")
EMPTY_BELOW = 50
"""Pixels that a prediction must have to count as one."""


@dataclass(frozen=True)
class Generalised:
    """The four scores in percent by their names, each with its 95 % interval; NaN where there is no sentence of the kind they are about.

    Attributes:
        scores: gIoU, cIoU, N-acc, T-acc.
        intervals: of each.
        empty_below: the rule they were made with: pixels below which a prediction counted as empty.
        targets: sentences with a target.
        no_targets: sentences without one.
    """

    scores: Mapping[str, float]
    intervals: Mapping[str, Interval]
    empty_below: int
    targets: int
    no_targets: int


@dataclass(frozen=True)
class Tally:
    """The counts of n sentences.

    Attributes:
        images: each sentence's image.
        no_target: bool (n,), whether it refers to nothing.
        intersection: int64 (n,), pixels that prediction and target share.
        union: int64 (n,), pixels that either holds.
        predicted: int64 (n,), pixels of the prediction.
    """

    images: Sequence[str]
    no_target: NDArray[np.bool_]
    intersection: NDArray[np.int64]
    union: NDArray[np.int64]
    predicted: NDArray[np.int64]


def generalise(tally: Tally, empty_below: int, resampling: Resampling) -> Generalised:
    """The generalised scores of sentences.

    Args:
        tally: their counts.
        empty_below: predictions of fewer pixels count as empty; one without any pixel always does.
        resampling: of the intervals.

    Raises:
        ValueError: there are no sentences.
    """
    if not len(tally.no_target):
        raise ValueError("no sentences to score")
    columns = _columns(tally, empty_below)
    exact = _divided(columns.sum(axis=0, keepdims=True))[0]
    values = _divided(resampled_sums(tally.images, columns, resampling))
    return Generalised(
        scores=dict(zip(GENERALISED, exact.tolist(), strict=True)),
        intervals={name: interval_of(column) for name, column in zip(GENERALISED, values.T, strict=True)},
        empty_below=empty_below,
        targets=int((~tally.no_target).sum()),
        no_targets=int(tally.no_target.sum()),
    )


def _columns(tally: Tally, empty_below: int) -> Floats:
    """One, IoU, I, U, sentence without target, its prediction empty, sentence with target, its prediction not empty (n, 8)."""
    empty = tally.predicted < max(empty_below, 1)
    target = tally.union - tally.predicted + tally.intersection
    intersection, union = np.where(empty, 0, tally.intersection), np.where(empty, target, tally.union)
    right = tally.no_target & empty
    iou = np.where(tally.no_target, right, np.divide(intersection, union, out=np.zeros(len(union)), where=union > 0))
    counted = [np.ones(len(union)), iou, intersection, union, tally.no_target, right, ~tally.no_target, ~tally.no_target & ~empty]
    return np.column_stack(counted).astype(np.float64)


def _divided(sums: Floats) -> Floats:
    """Sums (r, 8) to the four scores (r, 4) in percent."""
    count, ious, intersection, union, no_targets, empty, targets, filled = sums.T
    shares = [_share(ious, count), _share(intersection, np.maximum(union, 1)), _share(empty, no_targets), _share(filled, targets)]
    return 100 * np.column_stack(shares)


def _share(part: Floats, whole: Floats) -> Floats:
    shares = np.full(part.shape, np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares
