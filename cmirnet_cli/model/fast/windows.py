"""Swin's window attention without work on padding, a few windows at a time.

Legend: B batch, H × W map, C channels, M window side, G windows of one image, h heads, g windows that are computed together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from timm.models.swin_transformer import window_partition
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.vision import WindowBlock

SCORES_TOGETHER = 700_000
"""Scores that are computed together: enough for full speed in the products, few enough for a processor's cache."""


@dataclass(frozen=True)
class _Places:
    """Where what stands.

    Attributes:
        read: the position of the map that stands at each place in the windows, int64 (G·M²); any for padding.
        padding: the places that are padding, int64.
        written: the place in the windows of each position of the map, int64 (H·W).
        mask: what is added to scores between regions that were no neighbours (G, M², M²), in shifted blocks.
    """

    read: Tensor
    padding: Tensor
    written: Tensor
    mask: Tensor | None


class GatheringBlock(WindowBlock):
    """Takes the place of a `WindowBlock`: the same numbers up to rounding.

    Padding is zero before the projection to queries, keys and values, so it is the projection's bias after it: only the map's own positions
    are projected, and they alone come out again. Padding, roll and cutting into windows together are one choice of positions.
    """

    bias: Tensor
    outside: Tensor

    def __init__(self, block: WindowBlock) -> None:
        nn.Module.__init__(self)
        self.window, self.shift = block.window, block.shift
        self.norm1, self.drop_path, self.norm2, self.mlp = block.norm1, block.drop_path, block.norm2, block.mlp
        self.qkv, self.proj, self.heads = block.attn.qkv, block.attn.proj, block.attn.num_heads
        self.register_buffer("bias", block.attn._get_rel_pos_bias().detach()[0], persistent=False)  # (h, M², M²)
        self.register_buffer("outside", block.attn.qkv.bias.detach().clone(), persistent=False)  # (3C,)
        self._last: tuple[tuple[int, int, torch.device, torch.dtype], _Places] | None = None

    def _attend(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        queries = self.qkv(x).flatten(1, 2)
        places = self._places(height, width, queries)
        windows = queries.index_select(1, places.read)  # (B, G·M², 3C)
        windows[:, places.padding] = self.outside.to(windows.dtype)
        with torch.autocast(x.device.type, enabled=False):
            read = torch.stack([self._read(image, places.mask) for image in windows.view(batch, -1, self.window**2, 3 * channels)])
        projected: Tensor = self.proj(read.flatten(1, 2).index_select(1, places.written))
        return projected.view(batch, height, width, channels)

    def _read(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Queries, keys and values (G, M², 3C) of an image's windows, and what keeps regions (G, M², M²) apart, to (G, M², C)."""
        count, area, width = windows.shape
        parts = windows.view(count, area, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (3, G, h, M², C/h)
        bias, together = self.bias.to(windows.dtype), max(1, SCORES_TOGETHER // self.bias.numel())
        read = windows.new_empty(count, area, self.heads, width // 3 // self.heads)
        for first in range(0, count, together):
            query, key, value = parts[:, first : first + together].flatten(1, 2)  # (g·h, M², C/h)
            added = bias.expand(len(query) // self.heads, -1, -1, -1) if mask is None else bias + mask[first : first + together, None]
            scores = torch.baddbmm(added.flatten(0, 1), query, key.transpose(1, 2), alpha=query.shape[-1] ** -0.5)
            found = torch.softmax(scores.float(), dim=-1).to(value.dtype) @ value
            read[first : first + together] = found.unflatten(0, (-1, self.heads)).transpose(1, 2)
        return read.flatten(2)

    def _places(self, height: int, width: int, like: Tensor) -> _Places:
        """Of a map of that size; those that were used last are kept."""
        asked, last = (height, width, like.device, like.dtype), self._last
        if last is None or last[0] != asked:
            grid = torch.arange(height * width, device=like.device).view(height, width)
            grid = F.pad(grid, (0, -width % self.window, 0, -height % self.window), value=-1)
            order = window_partition(grid.roll((-self.shift, -self.shift), (0, 1))[None, ..., None], (self.window, self.window)).flatten()
            mask = self._region_mask(grid.shape[0], grid.shape[1], like) if self.shift else None
            padding, written = order.argsort().tensor_split([-height * width])
            places = _Places(order.clamp(min=0), padding, written, mask)
            self._last = last = asked, places
        return last[1]
