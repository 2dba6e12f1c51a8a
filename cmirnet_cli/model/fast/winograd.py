"""A 3×3 convolution with a quarter of the multiplications: Winograd's F(4×4, 3×3).

After Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016). The map is cut into overlapping tiles of 6 × 6
pixels. A tile's 36 transformed values each meet the transformed kernel once; for the same 4 × 4 outputs a plain convolution takes nine
products each.

Legend: B batch, C channels in, K channels out, H × W map, t tiles that are computed together.
"""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OUTPUT, KERNEL, TILE = 4, 3, 6
TOGETHER = 96
"""Tiles that are computed together: enough for full speed in the products, few enough for a processor's cache."""

_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
"""Where the polynomials behind the algorithm are evaluated, besides infinity: half the rounding error of the usual 0, ±1, ±2."""


class WinogradConv(nn.Module):
    """Takes the place of a convolution that is `replaceable`.

    In fp32 it differs from the plain sum by about 1e-5 of the output's standard deviation. It needs four times the room for the kernel.

    Args:
        convolution: whose place it takes.
        products: number format of the products, fp32 or bf16; all else is computed in fp32.
    """

    kernel: Tensor
    data: Tensor
    result: Tensor

    def __init__(self, convolution: nn.Conv2d, products: torch.dtype = torch.float32) -> None:
        super().__init__()
        weight = convolution.weight.detach().float()
        kernel, data, result = (torch.kron(matrix, matrix).to(weight) for matrix in _transforms())
        transformed = kernel @ weight.permute(2, 3, 1, 0).reshape(KERNEL**2, -1)  # (36, C·K)
        self.register_buffer("kernel", transformed.view(TILE**2, *weight.shape[1::-1]).to(products))  # (36, C, K)
        self.register_buffer("data", data)  # (36, 36)
        self.register_buffer("result", result)  # (16, 36)
        self.bias = convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, K, H, W), whose channels lie together in memory."""
        with torch.autocast(x.device.type, enabled=False):
            batch, _, height, width = x.shape
            down, across = -(-height // OUTPUT), -(-width // OUTPUT)
            out = x.new_empty(batch, down, OUTPUT, across, OUTPUT, self.kernel.shape[2])
            rows = max(1, TOGETHER // across)
            for image, place in zip(x.permute(0, 2, 3, 1), out, strict=True):
                for first in range(0, down, rows):
                    part = place[first : first + rows]
                    part.copy_(self._convolve(_tiles(image, first, len(part), across)).permute(2, 0, 3, 1, 4))
            return out.flatten(3, 4).flatten(1, 2)[:, :height, :width].permute(0, 3, 1, 2)

    def _convolve(self, tiles: Tensor) -> Tensor:
        """Tiles (6, 6, rows, columns, C) to results (4, 4, rows, columns, K)."""
        rows, columns, channels = tiles.shape[2:]
        data = self.data @ tiles.reshape(TILE**2, -1).float()
        products = data.view(TILE**2, rows * columns, channels).to(self.kernel.dtype) @ self.kernel  # (36, t, K)
        result = (self.result @ products.float().flatten(1)).view(OUTPUT, OUTPUT, rows, columns, -1)
        return result if self.bias is None else result.add_(self.bias)


def replaceable(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether `WinogradConv` can take a module's place: a dense 3×3 convolution with stride, padding and dilation 1."""
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (KERNEL, KERNEL)
        and module.stride == module.padding == module.dilation == (1, 1)
        and module.groups == 1
    )


def _tiles(image: Tensor, first: int, rows: int, across: int) -> Tensor:
    """Some rows of an image's (H, W, C) overlapping tiles, zeros beyond its border: (6, 6, rows, across, C)."""
    height, width, _ = image.shape
    top, bottom = OUTPUT * first - 1, OUTPUT * (first + rows) + 1
    padding = (0, 0, 1, OUTPUT * across + 1 - width, max(-top, 0), max(bottom - height, 0))
    padded = F.pad(image[max(top, 0) : bottom], padding)
    return padded.unfold(0, TILE, OUTPUT).unfold(1, TILE, OUTPUT).permute(3, 4, 0, 1, 2)


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Of one axis: kernel (6, 3), data (6, 6) and result (4, 6), by evaluating and interpolating polynomials (Toom and Cook)."""
    return _powers(KERNEL), torch.linalg.inv(_powers(TILE)).T, _powers(OUTPUT).T


def _powers(count: int) -> Tensor:
    """Every point to the powers 0 to count − 1; of infinity the highest one counts: (6, count)."""
    finite = torch.tensor(_POINTS, dtype=torch.float64)[:, None] ** torch.arange(count)
    return torch.cat([finite, torch.eye(count, dtype=torch.float64)[-1:]])
