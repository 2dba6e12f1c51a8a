"""Swin's window attention without work on padding, in one fused step.

Legend: B batch, H × W map, C channels, M window side, G windows of one image, h heads.
"""

from __future__ import annotations

import torch
from timm.models.swin_transformer import window_partition
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.vision import WindowBlock


class GatheringBlock(WindowBlock):
    """Takes the place of a `WindowBlock`: the same numbers up to rounding.

    Padding is zero before the projection to queries, keys and values, so it is the projection's bias after it: only the map's own positions
    are projected, and they alone come out again. Padding, roll and cutting into windows together are one choice of positions.
    """

    def __init__(self, block: WindowBlock) -> None:
        nn.Module.__init__(self)
        self.window, self.shift = block.window, block.shift
        self.norm1, self.attn, self.drop_path = block.norm1, block.attn, block.drop_path
        self.norm2, self.mlp = block.norm2, block.mlp

    def _attend(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        order = self._order(height, width, x.device)  # (G·M²)
        windows = self.attn.qkv(x).flatten(1, 2).index_select(1, order.clamp(min=0))  # (B, G·M², 3C)
        windows[:, order < 0] = self.attn.qkv.bias.to(windows.dtype)
        query, key, value = windows.view(-1, self.window**2, 3, self.attn.num_heads, channels // self.attn.num_heads).permute(2, 0, 3, 1, 4)
        read = F.scaled_dot_product_attention(query, key, value, self._scores(height, width, query))  # (B·G, h, M², C/h)
        positions = order.argsort()[-height * width :]
        own = read.transpose(1, 2).reshape(batch, -1, channels).index_select(1, positions)
        projected: Tensor = self.attn.proj(own)
        return projected.view(batch, height, width, channels)

    def _order(self, height: int, width: int, device: torch.device) -> Tensor:
        """Which position of the map stands where in the windows, −1 for padding: (G·M²)."""
        grid = torch.arange(height * width, device=device).view(height, width)
        grid = F.pad(grid, (0, -width % self.window, 0, -height % self.window), value=-1).roll((-self.shift, -self.shift), (0, 1))
        order: Tensor = window_partition(grid[None, :, :, None], (self.window, self.window)).flatten()
        return order

    def _scores(self, height: int, width: int, query: Tensor) -> Tensor:
        """What is added to the scores of (B·G, h, M², C/h) queries: (1, h, M², M²), in shifted blocks (B·G, h, M², M²)."""
        bias: Tensor = self.attn._get_rel_pos_bias()
        if self.shift:
            mask = self._region_mask(height + -height % self.window, width + -width % self.window, query).unsqueeze(1)
            bias = (bias + mask).expand(len(query) // len(mask), *mask.shape[:1], *bias.shape[1:]).flatten(0, 1)
        return bias.to(query.dtype)
