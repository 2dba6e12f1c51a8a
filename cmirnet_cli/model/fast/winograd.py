"""A 3×3 convolution with a quarter of the multiplications: Winograd's F(4×4, 3×3), in memory that is used again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.decoder import DoubleConv


class Workspace:
    """Room for intermediate values. Threads may share it: each finds its own room, and as much is kept as was used at one time."""

    def __init__(self) -> None:
        self._free: deque[Tensor] = deque()

    @contextmanager
    def like(self, example: Tensor, count: int) -> Iterator[Tensor]:
        """So many numbers, of any value, of the example's dtype and on its device; nobody else uses them meanwhile."""
        try:
            room = self._free.pop()
        except IndexError:
            room = torch.empty(0)
        if room.numel() < count or room.device != example.device or room.dtype != example.dtype:
            with torch.inference_mode(False):  # a tensor made inside could not be written to outside
                room = torch.empty(count, dtype=example.dtype, device=example.device)
        try:
            yield room[:count]
        finally:
            self._free.append(room)


OUTPUT, KERNEL, TILE = 4, 3, 6
TOGETHER = 128
"""Tiles that are computed together: enough for full speed in the products, few enough for a processor's cache."""

_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
"""Where the polynomials behind the algorithm are evaluated, besides infinity: half the rounding error of the usual 0, ±1, ±2."""


class WinogradConv(nn.Module):
    """Takes the place of a convolution that is `replaceable`.

    In fp32 it differs from the plain sum by about 1e-5 of the output's standard deviation. The kernel is transformed at every call: kept,
    it would take four times the room.

    Args:
        convolution: whose place it takes.
        workspace: where transformed kernels are put.
        products: number format of the products and of what is transformed, fp32 or bf16; kernels are transformed in fp32.
    """

    kernel: Tensor
    transform: Tensor
    data: Tensor
    result: Tensor

    def __init__(self, convolution: nn.Conv2d, workspace: Workspace, products: torch.dtype = torch.float32) -> None:
        super().__init__()
        weight = convolution.weight.detach().float()
        transform, data, result = (torch.kron(matrix, matrix).to(weight) for matrix in _transforms())
        self.register_buffer("transform", transform)  # (36, 9)
        self.register_buffer("data", data.to(products))  # (36, 36)
        self.register_buffer("result", result.to(products))  # (16, 36)
        self.register_buffer("kernel", weight.permute(2, 3, 1, 0).flatten(0, 1).contiguous())  # (9, C, K)
        self.workspace, self.products, self.bias = workspace, products, convolution.bias

    def forward(self, *maps: Tensor) -> Tensor:
        """(B, C, H, W), or several maps whose channels are C together, to (B, K, H, W), whose channels lie together in memory."""
        _, channels, outputs = self.kernel.shape
        with torch.autocast(self.kernel.device.type, enabled=False), self.workspace.like(self.kernel, TILE**2 * channels * outputs) as room:
            kernel = torch.mm(self.transform, self.kernel.flatten(1), out=room.view(TILE**2, -1)).view(-1, channels, outputs)
            return self._convolve([each.permute(0, 2, 3, 1) for each in maps], kernel.to(self.products))

    def _convolve(self, maps: list[Tensor], kernel: Tensor) -> Tensor:
        """Maps (B, H, W, each its part of C) and the transformed kernel (36, C, K) to (B, K, H, W)."""
        batch, height, width, _ = maps[0].shape
        down, across = -(-height // OUTPUT), -(-width // OUTPUT)
        out = maps[0].new_empty(batch, down, OUTPUT, across, OUTPUT, kernel.shape[2])
        rows = max(1, TOGETHER // across)
        for *images, place in zip(*maps, out, strict=True):
            for first in range(0, down, rows):
                part = place[first : first + rows]
                tiles = torch.cat([_tiles(image, first, len(part), across) for image in images], dim=-1)
                results = self._results(tiles.flatten(0, 1).flatten(1, 2).to(self.products), kernel)
                part.copy_(results.view(len(part), across, OUTPUT, OUTPUT, -1).transpose(1, 2))
        return out.flatten(3, 4).flatten(1, 2)[:, :height, :width].permute(0, 3, 1, 2)

    def _results(self, tiles: Tensor, kernel: Tensor) -> Tensor:
        """Tiles (t, 36, C) to results (t, 16, K)."""
        products = (self.data @ tiles).transpose(0, 1) @ kernel  # (36, t, K)
        result = self.result @ products.transpose(0, 1)
        return result if self.bias is None else result.add_(self.bias)


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
