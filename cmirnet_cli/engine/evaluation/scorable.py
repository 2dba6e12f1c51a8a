"""What can be scored: the model itself, or anything that does its part in the same steps."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from cmirnet_cli.model.features import ImageFeatures, Logits


class ReferringModelLike(Protocol):
    """As much of `ReferringModel` as scoring needs."""

    def encode_text(self, ids: Tensor, keep: Tensor) -> Tensor:
        """As `ReferringModel.encode`."""

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """As `ReferringModel.encode_image`."""

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, *, auxiliary: bool) -> Logits:
        """As `ReferringModel.decode`."""

    def eval(self) -> object:
        """Make it ready to be scored."""
