"""What can be scored: the model itself, or anything that does its part in the same steps."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from cmirnet_cli.model.features import Logits, Seen


class Locating(Protocol):
    """The steps of `CMIRNet`: what sees no text, and what follows it."""

    def look(self, image: Tensor) -> Seen:
        """As `CMIRNet.look`."""

    def locate(self, seen: Seen, words: Tensor, keep: Tensor, sentence: Tensor, *, auxiliary: bool) -> Logits:
        """As `CMIRNet.locate`."""


class Judged(Protocol):
    """As much of `ReferringModel` as scoring needs."""

    @property
    def network(self) -> Locating:
        """What looks and locates."""

    def encode(self, ids: Tensor, keep: Tensor) -> Tensor:
        """As `ReferringModel.encode`."""

    def eval(self) -> object:
        """Make it ready to be scored."""
