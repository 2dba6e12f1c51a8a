"""What an evaluation leaves behind: every sentence with its counts, and the scores of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cmirnet_cli.metrics.scores import Scores, score


@dataclass(frozen=True)
class Overlap:
    """Pixels that prediction and target share, and pixels that at least one of them holds."""

    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """A fraction, 0 to 1; 0 where the union is empty."""
        return self.intersection / self.union if self.union else 0.0


@dataclass(frozen=True)
class SentenceScore:
    """How one sentence fared: an overlap per protocol."""

    ref_id: int
    sent_id: int
    image_id: str
    text: str
    overlaps: Mapping[str, Overlap]


@dataclass(frozen=True)
class SplitScores:
    """What a split scored: every sentence, and those of the shuffled-text control (empty where none was asked for)."""

    split: str
    protocols: tuple[str, ...]
    sentences: tuple[SentenceScore, ...]
    control: tuple[SentenceScore, ...] = ()

    def scores(self, protocol: str) -> Scores:
        """The split's scores under one protocol."""
        return summarise(self.sentences, protocol)

    def control_scores(self, protocol: str) -> Scores | None:
        """The control's scores under one protocol, where there was a control."""
        return summarise(self.control, protocol) if self.control else None


def summarise(sentences: Sequence[SentenceScore], protocol: str) -> Scores:
    """The scores of sentences under one protocol."""
    overlaps = [sentence.overlaps[protocol] for sentence in sentences]
    intersection = np.array([overlap.intersection for overlap in overlaps], dtype=np.int64)
    return score(intersection, np.array([overlap.union for overlap in overlaps], dtype=np.int64))
