"""A 3×3 convolution with a quarter of the multiplications: Winograd's F(4×4, 3×3)."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.decoder import DoubleConv

OUTPUT, KERNEL, TILE = 4, 3, 6
TOGETHER = 120
"""Tiles that are computed together: enough for full speed in the products, few enough for a processor's cache, rows of usual maps."""

_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
"""Where the polynomials behind the algorithm are evaluated, besides infinity: half the rounding error of the usual 0, ±1, ±2."""


class TileProducts(nn.Module):
    """Multiplies each of the 36 numbers of a tile by a kernel of its own.

    Args:
        kernel: (36, C, K).
    """

    kernel: Tensor

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.register_buffer("kernel", kernel)

    def forward(self, tiles: Tensor) -> Tensor:
        """(t, 36, C) to (t, 36, K)."""
        return (tiles.transpose(0, 1) @ self.kernel).transpose(0, 1)


class WinogradConv(nn.Module):
    """Takes the place of a convolution that is `replaceable`.

    In fp32 it differs from the plain sum by about 1e-5 of the output's standard deviation. Its transformed kernel takes four times the
    room of the plain one.

    Args:
        convolution: whose place it takes.
        products: number format of the products and of what is transformed, fp32 or bf16; the kernel is transformed in fp32.
    """

    data: Tensor
    result: Tensor

    def __init__(self, convolution: nn.Conv2d, products: torch.dtype = torch.float32) -> None:
        super().__init__()
        weight = convolution.weight.detach().float()
        transform, data, result = (torch.kron(matrix, matrix).to(weight) for matrix in _transforms())
        self.register_buffer("data", data.to(products))  # (36, 36)
        self.register_buffer("result", result.to(products))  # (16, 36)
        self.multiply = TileProducts(torch.einsum("ps,kcs->pck", transform, weight.flatten(2)).to(products))
        self.outputs, self.inputs = weight.shape[:2]
        self.bias = None if convolution.bias is None else convolution.bias.detach().to(products)

    def forward(self, *maps: Tensor) -> Tensor:
        """(B, C, H, W), or several maps whose channels are C together, to (B, K, H, W), whose channels lie together in memory."""
        with torch.autocast(self.data.device.type, enabled=False):
            return self._convolve([each.permute(0, 2, 3, 1) for each in maps])

    def _convolve(self, maps: list[Tensor]) -> Tensor:
        """Maps (B, H, W, each its part of C) to (B, K, H, W)."""
        batch, height, width, _ = maps[0].shape
        down, across = -(-height // OUTPUT), -(-width // OUTPUT)
        out = maps[0].new_empty(batch, down, OUTPUT, across, OUTPUT, self.outputs)
        rows = max(1, TOGETHER // across)
        room = self.data.new_empty(2, max(TOGETHER, across), TILE**2, self.inputs)  # tiles (t, 36, C), as they are and transformed
        room[1, rows * across :] = 0  # multiplied with the others, but never read
        for *images, place in zip(*maps, out, strict=True):
            for first in range(0, down, rows):
                part = place[first : first + rows]
                tiles, transformed = room[:, : len(part) * across]
                cut = tiles.view(len(part), across, TILE, TILE, -1)
                for image, channels in zip(images, cut.split([image.shape[-1] for image in images], dim=-1), strict=True):
                    channels.copy_(_tiles(image, first, len(part), across))
                torch.bmm(self.data.expand(len(tiles), -1, -1), tiles, out=transformed)
                results = self.result @ self.multiply(room[1])[: len(tiles)]
                if self.bias is not None:
                    results += self.bias
                part.copy_(results.view(len(part), across, OUTPUT, OUTPUT, -1).transpose(1, 2))
        return out.flatten(3, 4).flatten(1, 2)[:, :height, :width].permute(0, 3, 1, 2)


class JoiningDoubleConv(nn.Module):
    """Takes the place of a `DoubleConv` whose first convolution became a `WinogradConv`, which joins maps as it cuts them into tiles."""

    def __init__(self, double: DoubleConv) -> None:
        super().__init__()
        self.join, self.rest = double[0], nn.Sequential(*[*double][1:])

    def forward(self, *maps: Tensor) -> Tensor:
        """As `DoubleConv`; the joined map is never in memory."""
        joined: Tensor = self.rest(self.join(*maps))
        return joined


def replaceable(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether `WinogradConv` can take a module's place: a dense 3×3 convolution with stride, padding and dilation 1."""
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (KERNEL, KERNEL)
        and module.stride == module.padding == module.dilation == (1, 1)
        and module.groups == 1
    )


def _tiles(image: Tensor, first: int, rows: int, across: int) -> Tensor:
    """Some rows of an image's (H, W, C) overlapping tiles, zeros beyond its border: (rows, across, 6, 6, C)."""
    height, width, _ = image.shape
    top, bottom = OUTPUT * first - 1, OUTPUT * (first + rows) + 1
    padding = (0, 0, 1, OUTPUT * across + 1 - width, max(-top, 0), max(bottom - height, 0))
    padded = F.pad(image[max(top, 0) : bottom], padding)
    return padded.unfold(0, TILE, OUTPUT).unfold(1, TILE, OUTPUT).permute(0, 1, 3, 4, 2)


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Of one axis: kernel (6, 3), data (6, 6) and result (4, 6), by evaluating and interpolating polynomials (Toom and Cook)."""
    return _powers(KERNEL), torch.linalg.inv(_powers(TILE)).T, _powers(OUTPUT).T


def _powers(count: int) -> Tensor:
    """Every point to the powers 0 to count − 1; of infinity the highest one counts: (6, count)."""
    finite = torch.tensor(_POINTS, dtype=torch.float64)[:, None] ** torch.arange(count)
    return torch.cat([finite, torch.eye(count, dtype=torch.float64)[-1:]])
