"""What flows between the parts of the network.

Legend: B batch, T tokens (padding included), D text width, C fusion width, Cv channels of a visual map, H × W its grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class EncodedText:
    """One encoded expression per batch row: words (B, D, T), keep (B, 1, T) with 1 on real tokens, sentence (B, D, 1)."""

    words: Tensor
    keep: Tensor
    sentence: Tensor


@dataclass(frozen=True)
class ImageFeatures:
    """What the text-free part of the backbone saw of a batch of images.

    Attributes:
        maps: the stages' maps, finest first, up to and with the first one that text is fused into.
        size: (H, W) of the images, in pixels.
    """

    maps: tuple[Tensor, ...]
    size: tuple[int, int]

    def repeat(self, count: int) -> ImageFeatures:
        """What was features of one image, for `count` expressions, without copying."""
        return ImageFeatures(tuple(map_.expand(count, *[-1] * (map_.ndim - 1)) for map_ in self.maps), self.size)

    def rows(self) -> list[ImageFeatures]:
        """What was features of each image, without copying."""
        return [ImageFeatures(row, self.size) for row in zip(*(map_.unsqueeze(1).unbind() for map_ in self.maps), strict=True)]

    @staticmethod
    def together(features: Sequence[ImageFeatures]) -> ImageFeatures:
        """What was features of images of one size, one batch after the other, as one batch."""
        return ImageFeatures(tuple(torch.cat(maps) for maps in zip(*(each.maps for each in features), strict=True)), features[0].size)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Channels as contiguous groups, one per attention head: (B, C, …) to (B, heads, C/heads, …)."""
    return x.reshape(x.shape[0], heads, -1, *x.shape[2:])


def onto_grid(x: Tensor, like: Tensor) -> Tensor:
    """Positions in a row back onto the grid of `like`: (B, C, H·W) to (B, C, H, W)."""
    return x.reshape(*x.shape[:2], *like.shape[-2:])


class Fused(NamedTuple):
    """What a fusion step gives: the fused map (B, Cv, H, W), a new sentence feature (B, C, 1), new word features (B, C, T)."""

    map: Tensor
    sentence: Tensor
    words: Tensor


class Logits(NamedTuple):
    """Class scores at input size: `main` (B, 2, H, W) is the prediction (class 1 is the referent).

    `auxiliary` holds the coarser heads' scores, the one next to `main` first; it is empty where the caller asks for `main` alone.
    A named tuple, not a dataclass, because distributed wrappers look for tensors inside tuples only.
    """

    main: Tensor
    auxiliary: list[Tensor]
