"""What an evaluation leaves behind: every sentence with its counts, the scores of a split, and how its IoUs are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.metrics.scores import Scores, score

BINS = 20
"""Steps of the histogram: the thresholds of precision@x lie between two of them."""

Ints = NDArray[np.int64]


def iou_bins(intersection: Ints, union: Ints) -> Ints:
    """int64 (n,): the step of each sentence's IoU, 0 to `BINS` - 1.

    A step holds its lower end; the last one holds an IoU of 1 as well, the first one empty unions. Integers decide, as for precision@x.

    Args:
        intersection: int64 (n,), pixels.
        union: int64 (n,), pixels.
    """
    steps: Ints = np.minimum(BINS * intersection // np.maximum(union, 1), BINS - 1)
    return steps


CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        "shuffled-text": "each referent is asked for with another one's sentences of the split: what is left owes nothing to its own words",
        "no-image": "the image is replaced by an even grey, ImageNet's mean colour: what is left owes nothing to pixels",
    }
)
"""The controls, in words: what is asked in place of the split's own questions."""


@dataclass(frozen=True)
class Overlap:
    """Pixels that prediction and target share, pixels that at least one of them holds, and pixels of the prediction."""

    intersection: int
    union: int
    predicted: int

    @property
    def iou(self) -> float:
        """A fraction, 0 to 1; 0 where the union is empty."""
        return self.intersection / self.union if self.union else 0.0


@dataclass(frozen=True)
class SentenceScore:
    """How one sentence fared: an overlap per protocol; `rle` is the prediction at the image's own size, where it was asked for."""

    ref_id: int
    sent_id: int
    image_id: str
    text: str
    overlaps: Mapping[str, Overlap]
    rle: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ReferentStats:
    """What the annotations say of a referent.

    Attributes:
        area: its pixels in the image's own size; 0 where the sentences refer to nothing.
        category: its name; empty where there is none.
        distractors: other objects of the category in the image; `breakdown.ATTRIBUTES` says which are counted.
    """

    area: int
    category: str
    distractors: int


@dataclass(frozen=True)
class SplitScores:
    """What a split scored.

    Attributes:
        split: its name.
        protocols: under which it was scored.
        sentences: every sentence.
        controls: name of a control → every sentence once more, in the same order.
        facts: `ref_id` → what is known of the referent.
    """

    split: str
    protocols: tuple[str, ...]
    sentences: tuple[SentenceScore, ...]
    controls: Mapping[str, tuple[SentenceScore, ...]] = field(default_factory=dict)
    facts: Mapping[int, ReferentStats] = field(default_factory=dict)

    def without_masks(self) -> SplitScores:
        """The same, masks left out."""
        return replace(self, sentences=tuple(replace(sentence, rle=None) for sentence in self.sentences))


def counts_of(sentences: Sequence[SentenceScore], protocol: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Intersection and union of every sentence under one protocol, int64 (n,) each."""
    overlaps = [sentence.overlaps[protocol] for sentence in sentences]
    intersection = np.array([overlap.intersection for overlap in overlaps], dtype=np.int64)
    return intersection, np.array([overlap.union for overlap in overlaps], dtype=np.int64)


def summarise(sentences: Sequence[SentenceScore], protocol: str) -> Scores:
    """The scores of sentences under one protocol."""
    return score(*counts_of(sentences, protocol))
