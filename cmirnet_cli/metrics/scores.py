"""The metrics: what each is called, and what it divides. A new one is a record in a table here; tables, files and intervals follow.

The conventions are those of the published evaluation protocol. A sentence's IoU is I/U, and 0 where the union is empty; overall IoU
is ΣI/ΣU; mean IoU is the mean over sentences; precision@x is the share of the sentences with a target that have IoU ≥ x. Scores are
percentages, 0 to 100.

Sentences that may refer to several objects or to nothing have four more (`GENERALISED`). Liu, Ding, Jiang, "GRES: Generalized Referring
Expression Segmentation" (CVPR 2023), the paper of gRefCOCO, defines them:

- a sentence that refers to nothing scores an IoU of 1 where the prediction is empty and 0 where it is not; any other sentence scores I/U;
- gIoU is the mean of these; cIoU is ΣI/ΣU, where a rightly empty prediction adds nothing and a wrongly filled one its pixels to ΣU;
- N-acc is the share of the sentences without target whose prediction is empty, TP/(TP+FN); T-acc is the share of those with a target
  whose prediction is not, TN/(TN+FP).

Their code (github.com/henghuiding/ReLA, `gres_model/evaluation/refer_evaluation.py`) computes the same since 26 August 2023. Before, it
divided N-acc by TP+FN+1 and called TP/(TP+FP+1) T-acc: numbers of that time cannot be compared. It reports precision at .7, .8 and .9
over the sentences with a target, as here.

When is a prediction empty? Their network says so with an output of its own, and where it wrongly does, the mask's pixels stay in ΣU. For
networks without such an output, as this one, the paper clears masks of fewer than 50 positive pixels; that rule is `EMPTY_BELOW`. A
cleared mask shares no pixel and adds only its target to ΣU. The rule is as widely quoted from the paper, whose text was not available
here, and not in its code; at which size the pixels are counted is not known, so they are counted at the size of the protocol.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.metrics.sentences import Floats, Tally

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
        "no target": "a prediction with any pixel has an IoU of 0, its pixels count in the union of the overall IoU; no part of precision",
        "empty union": "neither prediction nor target has a pixel: an IoU of 0, reaching no precision; gIoU alone counts it as 1",
    }
)
"""What counts as what, in words."""

EMPTY_BELOW = 50
"""Pixels that a prediction must have to count as one for the generalised scores."""

Level = Literal["main", "brief", "full"]
Column = Callable[[Tally], NDArray[Any]]


@dataclass(frozen=True)
class Metric:
    """A score: a sum over sentences divided by another, in percent.

    Attributes:
        name: in `scores.json`, such as `mean_iou`.
        heading: of its column in tables, such as `mIoU`.
        numerator: what each of a tally's sentences adds above the line: bool, int64 or float64 (n,).
        denominator: what each adds below it: bool or int64 (n,).
        if_undefined: the score where the sum below is 0; NaN where there is none.
        level: `main` metrics have a column in every table, with its interval; `brief` ones too, without the interval where room is
            short (groups of sentences); `full` ones only where there is room.
    """

    name: str
    heading: str
    numerator: Column
    denominator: Column
    if_undefined: float = math.nan
    level: Level = "full"

    def percent(self, parts: Floats | np.float64, wholes: Floats | np.float64) -> Floats:
        """The scores of sums above and below the line, arrays of one shape."""
        scores: Floats = np.full(np.shape(wholes), self.if_undefined)
        return np.divide(100 * parts, wholes, out=scores, where=wholes > 0)


TENTHS = (5, 6, 7, 8, 9)
"""The thresholds of precision@x in tenths: integers, so that a sentence lying exactly on a threshold is never lost to rounding."""


def _precision(tenths: int) -> Metric:
    """precision@x for a threshold of so many tenths, decided by integers; an empty union does not reach it. No target: not counted."""

    def hits(tally: Tally) -> NDArray[np.bool_]:
        return (10 * tally.intersection >= tenths * tally.union) & (tally.union > 0)

    level: Level = "brief" if tenths == TENTHS[0] else "full"
    return Metric(f"precision@0.{tenths}", f"P@.{tenths}", hits, lambda tally: ~tally.no_target, level=level)


METRICS = (
    Metric("overall_iou", "oIoU", lambda tally: tally.intersection, lambda tally: tally.union, if_undefined=0.0, level="main"),
    Metric("mean_iou", "mIoU", lambda tally: tally.iou, lambda tally: tally.each, level="main"),
    *map(_precision, TENTHS),
)
"""What every split is scored by, in the order of columns and files."""

GENERALISED = (
    Metric("gIoU", "gIoU", lambda tally: np.where(tally.no_target, tally.cleared.empty, tally.cleared.iou), lambda tally: tally.each),
    Metric("cIoU", "cIoU", lambda tally: tally.cleared.intersection, lambda tally: tally.cleared.union, if_undefined=0.0),
    Metric("N-acc", "N-acc", lambda tally: tally.no_target & tally.cleared.empty, lambda tally: tally.no_target),
    Metric("T-acc", "T-acc", lambda tally: ~tally.no_target & ~tally.cleared.empty, lambda tally: ~tally.no_target),
)
"""What a split with sentences that refer to nothing is scored by as well: small predictions are cleared first."""


@dataclass(frozen=True)
class Scores:
    """What a set of sentences scored.

    Attributes:
        values: metric's name → score in percent (0 to 100); NaN where there is no sentence of the kind that it is about.
        sentences: how many sentences were scored.
    """

    values: Mapping[str, float]
    sentences: int

    def __getitem__(self, name: str) -> float:
        """The score of one metric, by its name."""
        return self.values[name]

    def as_dict(self) -> dict[str, float | int]:
        """The scores by the names of their metrics, then `sentences`."""
        return {**self.values, "sentences": self.sentences}


def score(tally: Tally, metrics: Sequence[Metric] = METRICS) -> Scores:
    """Scores of a tally's sentences; the same to the last bit whatever the order they come in."""
    values = {}
    for metric in metrics:
        part, whole = _sum(metric.numerator(tally)), _sum(metric.denominator(tally))
        values[metric.name] = float(metric.percent(np.float64(part), np.float64(whole)))
    return Scores(values, len(tally.union))


def _sum(column: NDArray[Any]) -> float:
    """An exact sum: integers as integers, fractions rounded once."""
    return math.fsum(column) if column.dtype.kind == "f" else int(column.sum())
