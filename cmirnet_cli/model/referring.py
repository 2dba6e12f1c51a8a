"""Text encoder and network as one module: what is trained, saved and run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from cmirnet_cli.model.cmirnet import Network
from cmirnet_cli.model.features import ImageFeatures, Logits
from cmirnet_cli.model.text import TextEncoder, sentence_of


class ReferringModel(nn.Module):
    """From images and token ids to logits. The text encoder runs outside mixed precision, as published."""

    def __init__(self, network: Network, text: TextEncoder) -> None:
        super().__init__()
        self.network = network
        self.text = text

    def forward(self, image: Tensor, ids: Tensor, keep: Tensor, words: Tensor | None = None) -> Logits:
        """Image float (B, 3, H, W), ids int64 (B, T), keep bool (B, T) to the logits of every head.

        `words` (B, T, D) is what `encode_text` gives, where somebody has it already.
        """
        words = self.encode_text(ids, keep) if words is None else words
        return self.decode(self.encode_image(image), words, keep, auxiliary=True)

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[float, ...]]:
        """A parameter's name → where it lies in the backbone: the stage, or with its block. What is not part of it lies behind its end.

        timm asks for this where the learning rate is to fall from layer to layer.
        """

        def place(name: str) -> tuple[float, ...]:
            stage = re.match(r"network\.stages\.(\d+)\.(?:.*?\bblocks\.(\d+))?", name)
            if stage is None:
                return (math.inf,)
            return (float(stage[1]), *([] if coarse else [float(-1 if stage[2] is None else stage[2])]))

        return place

    def encode_text(self, ids: Tensor, keep: Tensor) -> Tensor:
        """The words of each expression in full precision: (B, T, D)."""
        with torch.autocast(ids.device.type, enabled=False):
            words: Tensor = self.text(ids, keep)
        return words

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """As `CMIRNet.encode_image`."""
        return self.network.encode_image(image)

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, *, auxiliary: bool) -> Logits:
        """As `CMIRNet.decode`, for the words (B, T, D) that `encode_text` gave; the sentence follows from them."""
        return self.network.decode(features, words, keep, sentence_of(words, keep, self.text.sentence), auxiliary=auxiliary)
