"""Convolutions with less work around them: batch norm folded in, activations in place, heads tap by tap."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn


def fold_batch_norms(network: nn.Module) -> None:
    """Give every convolution the scale and shift of the batch norm behind it, which becomes an identity; ReLU then overwrites its input.

    For a network in eval mode. In all modules of ours and in timm's ResNet a batch norm that stands behind a convolution, among its
    siblings, is what the convolution's output goes through, and nobody but the ReLU reads what a ReLU is given.
    """
    for parent in network.modules():
        for (_, convolution), (name, norm) in pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                _fold(convolution, norm)
                setattr(parent, name, nn.Identity())
        if isinstance(parent, nn.ReLU):
            parent.inplace = True


@torch.no_grad()
def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """In place, so that no second set of weights is left in memory."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    bias = 0 if convolution.bias is None else convolution.bias
    convolution.weight.mul_(scale.view(-1, 1, 1, 1))
    convolution.bias = nn.Parameter(norm.bias + (bias - mean) * scale)


@torch.no_grad()
def by_taps(head: nn.Conv2d) -> nn.Sequential:
    """A 3×3 convolution to a few classes as a 1×1 convolution to each of its nine taps, and a sum of the shifted taps.

    Every channel is then read once instead of nine times.
    """
    classes, channels, height, width = head.weight.shape
    taps = nn.Conv2d(channels, height * width * classes, 1, bias=False, device=head.weight.device)
    taps.weight.copy_(head.weight.permute(2, 3, 0, 1).reshape(-1, channels, 1, 1))
    total = nn.Conv2d(height * width * classes, classes, (height, width), padding=(height // 2, width // 2), device=head.weight.device)
    shifts = torch.eye(height * width).view(height, width, height, width)  # tap (row, column) reads its own pixel of the kernel
    total.weight.copy_(torch.einsum("yxij,ko->oyxkij", shifts, torch.eye(classes)).reshape(total.weight.shape))
    total.bias = head.bias
    return nn.Sequential(taps, total)
