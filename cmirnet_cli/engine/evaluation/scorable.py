"""What can be scored: the model itself, or anything that does its part in the same steps."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from cmirnet_cli.model.features import Logits, Seen


class Scorable(Protocol):
    """As much of `ReferringModel` as scoring needs."""

    def encode(self, ids: Tensor, keep: Tensor) -> Tensor:
        """As `ReferringModel.encode`."""

    def look(self, image: Tensor) -> Seen:
        """As `ReferringModel.look`."""

    def locate(self, seen: Seen, words: Tensor, keep: Tensor, *, auxiliary: bool) -> Logits:
        """As `ReferringModel.locate`."""

    def eval(self) -> object:
        """Make it ready to be scored."""
