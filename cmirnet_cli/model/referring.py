"""Text encoder and network as one module: what is trained, saved and run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.features import ImageFeatures, Logits
from cmirnet_cli.model.text import TextEncoder


class ReferringModel(nn.Module):
    """From images and token ids to logits. The text encoder runs outside mixed precision, as published."""

    def __init__(self, network: CMIRNet, text: TextEncoder) -> None:
        super().__init__()
        self.network = network
        self.text = text

    def forward(self, image: Tensor, ids: Tensor, keep: Tensor, words: Tensor | None = None) -> Logits:
        """Image float (B, 3, H, W), ids int64 (B, T), keep bool (B, T) to the logits of every head.

        `words` (B, T, D) is what `encode` gives, where somebody has it already.
        """
        words = self.encode_text(ids, keep) if words is None else words
        return self.decode(self.encode_image(image), words, keep, auxiliary=True)

    def encode_text(self, ids: Tensor, keep: Tensor) -> Tensor:
        """The words of each expression in full precision: (B, T, D)."""
        with torch.autocast(ids.device.type, enabled=False):
            words: Tensor = self.text(ids, keep)
        return words

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """As `CMIRNet.encode_image`."""
        return self.network.encode_image(image)

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, *, auxiliary: bool) -> Logits:
        """As `CMIRNet.decode`, for the words (B, T, D) that `encode` gave; the sentence is the first of them."""
        return self.network.decode(features, words, keep, words[:, 0], auxiliary=auxiliary)
