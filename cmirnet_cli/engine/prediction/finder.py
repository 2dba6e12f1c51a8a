"""Asking anything that can say how probable each pixel is: weights that torch runs, or an exported model that needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from cmirnet_cli.engine.prediction.masks import MaskRule, Prediction, Probabilities, decide
from cmirnet_cli.engine.prediction.photos import Pixels
from cmirnet_cli.engine.prediction.questions import checked


class Finder(Protocol):
    """What can be asked where something is."""

    @property
    def tokens(self) -> int:
        """How many tokens of an expression are read, its start and end marks included."""

    def too_long(self, expressions: Sequence[str]) -> list[str]:
        """Those expressions of which only the beginning is read."""

    def probabilities(self, pixels: Pixels, expressions: Sequence[str]) -> Iterator[Probabilities]:
        """The referent's probability at every pixel of an image uint8 (H, W, 3), float32 (H, W), one expression after the other."""


def find(finder: Finder, pixels: Pixels, expressions: str | Sequence[str], rule: MaskRule) -> Iterator[Prediction]:
    """One mask after the other for RGB pixels uint8 (H, W, 3): no more than a batch of expressions is in memory.

    Raises:
        UsageError: an expression is empty.
    """
    asked = list(map(checked, [expressions] if isinstance(expressions, str) else expressions))
    for expression, probability in zip(asked, finder.probabilities(pixels, asked), strict=True):
        yield decide(expression, probability, rule)
