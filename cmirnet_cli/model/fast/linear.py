"""Linear layers as 1×1 convolutions."""

from __future__ import annotations

from torch import Tensor, nn


class LinearAsConv(nn.Conv2d):
    """Takes the place of a linear layer: the positions lie side by side in one row of a map.

    On a CPU PyTorch gives convolutions to another library than matrix products, and that one is faster.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.in_features, linear.out_features, 1, bias=linear.bias is not None, device="meta")
        self.weight = nn.Parameter(linear.weight.detach()[:, :, None, None])
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., K)."""
        row = x.reshape(1, 1, -1, self.in_channels).permute(0, 3, 1, 2)
        return super().forward(row).permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_channels)
