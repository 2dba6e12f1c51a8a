"""The visual backbone, cut into stages that text can be fused between: the published Swin, and ResNet from timm.

A stage maps (B, C, H, W) to (B, C', H', W'). Legend: B batch, C channels, H × W grid, M window side, G windows of one image.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from timm.layers import Mlp, PatchEmbed
from timm.models.resnet import ResNet
from timm.models.swin_transformer import PatchMerging, WindowAttention, window_partition, window_reverse
from torch import Tensor, nn
from torch.nn import functional as F


class StochasticDepth(nn.Module):
    """Leaves out, while training, what a block adds to some of the samples, and enlarges it for the others to make up for that.

    The rate is a tensor: were it a number, as timm's is, `torch.compile` would compile every block anew for its own rate.
    """

    kept: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.register_buffer("kept", torch.tensor(1 - rate), persistent=False)

    @property
    def rate(self) -> float:
        """Share of the samples that are left out."""
        return float(1 - self.kept)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same."""
        if not self.training:
            return x
        return x * (torch.bernoulli(self.kept.expand(len(x), 1, 1, 1)) / self.kept).to(x.dtype)


class WindowBlock(nn.Module):
    """A pre-norm Swin block with the original order of padding and shifting.

    The map is padded to whole windows first and rolled second, the padding takes part as keys, and a shifted block shifts
    even where the map is no larger than one window (timm's block does none of the three, and differs at 480 px).
    """

    def __init__(self, width: int, heads: int, window: int, *, shifted: bool, drop_path: float) -> None:
        super().__init__()
        self.window = window
        self.shift = window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, num_heads=heads, window_size=window)
        self.drop_path = StochasticDepth(drop_path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within windows, then the MLP: (B, H, W, C) to the same."""
        x = x + self.drop_path(self._attend(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out

    def _attend(self, x: Tensor) -> Tensor:
        _, height, width, channels = x.shape
        x = F.pad(x, (0, 0, 0, -width % self.window, 0, -height % self.window))
        padded_height, padded_width = x.shape[1:3]
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), dims=(1, 2))
        windows = window_partition(x, (self.window, self.window)).flatten(1, 2)  # (B·G, M², C)
        mask = self._region_mask(padded_height, padded_width, x) if self.shift else None
        windows = self.attn(windows, mask).view(-1, self.window, self.window, channels)
        x = window_reverse(windows, (self.window, self.window), padded_height, padded_width)
        if self.shift:
            x = torch.roll(x, (self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]

    def _region_mask(self, height: int, width: int, like: Tensor) -> Tensor:
        """−100 between positions that were not neighbours before the roll: (G, M², M²)."""
        rows, columns = (self._region(length, like.device) for length in (height, width))
        region = (3 * rows[:, None] + columns[None, :])[None, :, :, None]
        region = window_partition(region, (self.window, self.window)).flatten(1)  # (G, M²)
        apart: Tensor = region[:, :, None] != region[:, None, :]
        return apart.to(like.dtype) * -100.0

    def _region(self, length: int, device: torch.device) -> Tensor:
        """Which of the three slices of an axis each position lies in: (length,)."""
        position = torch.arange(length, device=device)
        return (position >= length - self.window).long() + (position >= length - self.shift).long()


class PatchStem(nn.Module):
    """Cuts the image into 4 × 4 patches: (B, 3, H, W) to (B, H/4, W/4, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = PatchEmbed(None, patch_size=4, embed_dim=width, norm_layer=nn.LayerNorm, output_fmt="NHWC")

    def forward(self, image: Tensor) -> Tensor:
        """Patches of the image, normalised."""
        patches: Tensor = self.embed(image)
        return patches


class SwinStage(nn.Module):
    """One stage: the way down from the stage before (patches or merging), then blocks, every second one shifted.

    No norm follows the blocks (the published checkpoints hold four that nothing uses).
    """

    def __init__(self, down: nn.Module, blocks: Sequence[WindowBlock], *, first: bool) -> None:
        super().__init__()
        self.down = down
        self.blocks = nn.Sequential(*blocks)
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        """The stage's map: (B, C, H, W) to (B, C', H', W'); the first stage takes the image."""
        x = self.down(x if self.first else x.permute(0, 2, 3, 1))
        out: Tensor = self.blocks(x)
        return out.permute(0, 3, 1, 2)


def swin_stages(width: int, depths: Sequence[int], heads: Sequence[int], window: int, drop_path: float) -> list[nn.Module]:
    """The four stages of a Swin backbone, widths `width`·(1, 2, 4, 8), stochastic depth rising linearly to `drop_path`."""
    rates = iter(drop_path * block / (sum(depths) - 1) for block in range(sum(depths)))
    stages: list[nn.Module] = []
    for level, (depth, stage_heads) in enumerate(zip(depths, heads, strict=True)):
        channels = width * 2**level
        down: nn.Module = PatchMerging(channels // 2) if level else PatchStem(width)
        blocks = [WindowBlock(channels, stage_heads, window, shifted=bool(k % 2), drop_path=next(rates)) for k in range(depth)]
        stages.append(SwinStage(down, blocks, first=level == 0))
    for stage in stages:
        stage.apply(_initialise_linear)
    return stages


def _initialise_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def resnet_stages(backbone: ResNet) -> list[nn.Module]:
    """The stem and the four residual stages of timm's ResNet, as five stages (strides 2, 4, 8, 16, 32)."""
    stem = OrderedDict(conv=backbone.conv1, bn=backbone.bn1, act=backbone.act1)
    stage1 = OrderedDict(pool=backbone.maxpool, blocks=backbone.layer1)
    rest = [OrderedDict(blocks=layer) for layer in (backbone.layer2, backbone.layer3, backbone.layer4)]
    return [nn.Sequential(parts) for parts in (stem, stage1, *rest)]
