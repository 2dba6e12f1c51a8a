"""What an evaluation leaves behind: every sentence with its counts, the scores of a split, and how its IoUs are spread."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 20
"""Bins of the histogram of IoUs: the thresholds of precision@x lie between two of them."""

CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        "shuffled-text": "each referent is scored with the sentences of another one: the score left over does not come from words",
        "no-image": "each image is replaced by an even grey, ImageNet's mean colour: the score left over does not come from pixels",
    }
)
"""The controls, in words: what takes the place of the split's own sentences or images."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


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
    """How one sentence fared: an overlap per protocol.

    Where masks are kept, `rle` is the prediction at the image's own size, or at network size if `paper` is the only protocol.
    """

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
        area: its pixels in the image's own size.
        category: its name; empty where there is none.
        distractors: other objects of the category in the image; `breakdown.ATTRIBUTES` says which are counted.
        no_target: whether its sentences refer to nothing; an object may have no pixel, too.
    """

    area: int
    category: str
    distractors: int
    no_target: bool = False


@dataclass(frozen=True)
class SplitScores:
    """What a split scored.

    Attributes:
        split: its name.
        protocols: under which it was scored.
        sentences: every sentence.
        controls: name of a control → every sentence once more, in the same order.
        stats: `ref_id` → what is known of the referent.
    """

    split: str
    protocols: tuple[str, ...]
    sentences: tuple[SentenceScore, ...]
    controls: Mapping[str, tuple[SentenceScore, ...]] = field(default_factory=dict)
    stats: Mapping[int, ReferentStats] = field(default_factory=dict)

    @property
    def no_targets(self) -> frozenset[int]:
        """The `ref_id` of the referents that refer to nothing."""
        return frozenset(ref_id for ref_id, stats in self.stats.items() if stats.no_target)

    def without_masks(self) -> SplitScores:
        """The same, masks left out."""
        return replace(self, sentences=tuple(replace(sentence, rle=None) for sentence in self.sentences))


@dataclass(frozen=True)
class Tally:
    """The counts of n sentences under one protocol: all that a score is made of.

    Attributes:
        images: each sentence's image.
        no_target: bool (n,), whether it refers to nothing.
        intersection: int64 (n,), pixels that prediction and target share.
        union: int64 (n,), pixels that either holds.
        predicted: int64 (n,), pixels of the prediction.
        empty_below: predictions of fewer pixels are taken away in `cleared`.

    Raises:
        ValueError: there are no sentences, or the counts cannot be those of masks.
    """

    images: Sequence[str]
    no_target: NDArray[np.bool_]
    intersection: Ints
    union: Ints
    predicted: Ints
    empty_below: int = 0

    def __post_init__(self) -> None:
        if self.intersection.shape != self.union.shape or self.union.ndim != 1:
            shapes = f"intersections {self.intersection.shape} and unions {self.union.shape}"
            raise ValueError(f"{shapes} must be one number for each sentence")
        if self.union.size == 0:
            raise ValueError("no sentences to score")
        if self.intersection.dtype != np.int64 or self.union.dtype != np.int64:
            raise ValueError(f"counts must be int64, not {self.intersection.dtype} and {self.union.dtype}")
        if (self.intersection < 0).any() or (self.intersection > self.union).any():
            raise ValueError("an intersection lies outside 0 … union: these are not counts of two masks")

    @classmethod
    def of(cls, sentences: Sequence[SentenceScore], protocol: str, no_targets: Container[int] = (), empty_below: int = 0) -> Tally:
        """The counts of sentences under one protocol; `no_targets` holds the `ref_id` of those that refer to nothing."""
        overlaps = [sentence.overlaps[protocol] for sentence in sentences]
        counts = np.array([(each.intersection, each.union, each.predicted) for each in overlaps], np.int64).reshape(-1, 3)
        return cls(
            [sentence.image_id for sentence in sentences],
            np.array([sentence.ref_id in no_targets for sentence in sentences]),
            *(counts[:, 0], counts[:, 1], counts[:, 2]),
            empty_below,
        )

    @property
    def each(self) -> Ints:
        """1 for each sentence."""
        return np.ones(len(self.union), np.int64)

    @property
    def iou(self) -> Floats:
        """Each sentence's IoU (n,), a fraction from 0 to 1: I/U, and 0 where the union is empty."""
        return np.divide(self.intersection, self.union, out=np.zeros(self.union.shape), where=self.union > 0)

    @property
    def bins(self) -> Ints:
        """int64 (n,): the bin of each sentence's IoU, 0 to `BINS` - 1.

        A bin holds its lower end; the last one holds an IoU of 1 as well, the first one empty unions. Integers decide, as for precision@x.
        """
        bins: Ints = np.minimum(BINS * self.intersection // np.maximum(self.union, 1), BINS - 1)
        return bins

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Whether the prediction of each sentence has no pixel."""
        return np.equal(self.predicted, 0)

    @cached_property
    def cleared(self) -> Tally:
        """The counts without the predictions of fewer than `empty_below` pixels: such a sentence has its target alone in its union."""
        small = self.predicted < self.empty_below
        target = self.union - self.predicted + self.intersection
        return replace(
            self,
            intersection=np.where(small, 0, self.intersection),
            union=np.where(small, target, self.union),
            predicted=np.where(small, 0, self.predicted),
        )
