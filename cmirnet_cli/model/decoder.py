"""CMAE, the decoder with cross-modal attention: from the positioned map up to the finest skip, one map per level.

Legend: B batch, C fusion width, Cs channels of a skip, H × W grid of a level, N = H·W positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.features import onto_grid


class DoubleConv(nn.Sequential):
    """Joins maps by two 3×3 convolutions without bias, each with batch norm and ReLU."""

    def __init__(self, inputs: int, width: int) -> None:
        layers: list[nn.Module] = []
        for channels in (inputs, width):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        super().__init__(*layers)

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps of one grid, whose channels are `inputs` together, to (B, C, H, W)."""
        x = torch.cat(maps, dim=1)
        for layer in self:
            x = layer(x)
        return x


class SentenceAttention(nn.Module):
    """Weighs positions by their likeness to the sentence, and channels by what those positions hold."""

    def __init__(self, width: int, reduction: int = 16) -> None:
        super().__init__()
        self.key = nn.Conv2d(width, width, 1)
        self.query = nn.Conv1d(width, width, 1)
        self.channel_key = nn.Conv2d(width, width, 1)
        squeeze = nn.Conv1d(width, width // reduction, 1, bias=False)
        expand = nn.Conv1d(width // reduction, width, 1, bias=False)
        self.channel_weights = nn.Sequential(squeeze, nn.ReLU(), expand, nn.Sigmoid())

    def forward(self, x: Tensor, sentence: Tensor) -> Tensor:
        """Attend (B, C, H, W) with the sentence (B, C, 1)."""
        key = F.normalize(F.instance_norm(self.key(x)).flatten(2), dim=1, eps=1e-12)  # (B, C, N)
        query = F.normalize(self.query(sentence), dim=1, eps=1e-12)  # (B, C, 1)
        likeness = key.transpose(1, 2) @ query  # (B, N, 1)
        located = F.instance_norm(self.channel_key(x)).flatten(2) @ torch.softmax(likeness, dim=1)  # (B, C, 1)
        channels = self.channel_weights(located).unsqueeze(-1)  # (B, C, 1, 1)
        weighted: Tensor = (channels * x + x) * onto_grid(likeness.transpose(1, 2), like=x)
        return weighted + x


class DecoderLevel(nn.Module):
    """Merges two maps of one grid; where a sentence feature belongs to the level, attends with it and refines."""

    def __init__(self, inputs: int, width: int, *, attends: bool) -> None:
        super().__init__()
        self.merge = DoubleConv(inputs, width)
        self.attention = SentenceAttention(width) if attends else None
        self.refine = DoubleConv(2 * width, width) if attends else None

    def forward(self, first: Tensor, second: Tensor, sentence: Tensor | None) -> Tensor:
        """Merge two maps, channels in the given order: (B, C, H, W)."""
        merged: Tensor = self.merge(first, second)
        if self.attention is None or self.refine is None:
            return merged
        refined: Tensor = self.refine(merged, self.attention(merged, sentence))
        return refined


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear enlargement onto the grid of `like`, corners aligned; a map that has that grid stays as it is."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


class AttentionDecoder(nn.Module):
    """CMAE. `reductions` (one per skip) and `levels` run from the coarsest level to the finest."""

    def __init__(self, reductions: Sequence[nn.Module], levels: Sequence[DecoderLevel]) -> None:
        super().__init__()
        self.reductions = nn.ModuleList(reductions)
        self.levels = nn.ModuleList(levels)

    def forward(self, located: Tensor, skips: Sequence[Tensor], sentences: Sequence[Tensor | None]) -> list[Tensor]:
        """Decode.

        Args:
            located: the positioned map (B, C, H, W) of the graph module.
            skips: one map (B, Cs, H, W) per level, coarsest first.
            sentences: one sentence feature (B, C, 1) per level, None where the level has none.

        Returns:
            One map (B, C, H, W) per level, coarsest first.
        """
        maps: list[Tensor] = []
        for level, reduce, skip, sentence in zip(self.levels, self.reductions, skips, sentences, strict=True):
            reduced = reduce(skip)
            first, second = (enlarge(maps[-1], reduced), reduced) if maps else (reduced, located)
            maps.append(level(first, second, sentence))
        return maps
