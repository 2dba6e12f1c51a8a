"""An ONNX export in the place of a `ReferringModel`, as far as scoring goes; torch only carries the numbers to it and back.

Legend: B batch, T tokens, D text width, H × W the image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cmirnet_cli.export.preprocessing import Sentences
from cmirnet_cli.export.runtime import ExportedModel
from cmirnet_cli.model.features import ImageFeatures, Logits


class ExportedReferring:
    """The steps of a `ReferringModel`. A graph cannot be stopped halfway: what was features of an image is the image itself."""

    def __init__(self, exported: ExportedModel) -> None:
        self._exported = exported

    def eval(self) -> ExportedReferring:
        """It is never anything else."""
        return self

    def encode_text(self, ids: Tensor, keep: Tensor) -> Tensor:
        """Ids int64 (B, T) and keep bool (B, T) to words (B, T, D); where the graph reads ids itself, these, as (B, T, 1)."""
        words = torch.from_numpy(self._exported.read(Sentences(ids.numpy(force=True), keep.long().numpy(force=True)))).to(ids.device)
        return words if self._exported.spec.split else words.unsqueeze(-1)

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """Image float (B, 3, H, W), normalised."""
        return ImageFeatures((image,), (image.shape[2], image.shape[3]))

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, *, auxiliary: bool) -> Logits:
        """What `encode_image` and `encode` gave to logits (B, 2, H, W); a graph has no auxiliary heads."""
        (image,) = features.maps
        read = words if self._exported.spec.split else words.squeeze(-1)
        logits = self._exported.decode(image.numpy(force=True), read.numpy(force=True), keep.long().numpy(force=True))
        return Logits(torch.from_numpy(logits).to(image.device), [])
