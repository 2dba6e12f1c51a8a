"""ASPP: context of the coarsest map at four scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution that keeps the grid, batch norm, ReLU."""
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class MultiScaleContext(nn.Module):
    """Atrous spatial pyramid pooling: one 1×1 and three dilated 3×3 branches of a quarter of the width each, then a mix."""

    def __init__(self, channels: int, dilations: Sequence[int] = (3, 6, 9)) -> None:
        super().__init__()
        quarter = channels // 4
        dilated = [conv_bn_relu(channels, quarter, kernel=3, dilation=dilation) for dilation in dilations]
        self.branches = nn.ModuleList([conv_bn_relu(channels, quarter), *dilated])
        self.mix = conv_bn_relu(4 * quarter, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Cv, H, W) to the same."""
        mixed: Tensor = self.mix(torch.cat([branch(x) for branch in self.branches], dim=1))
        return mixed
