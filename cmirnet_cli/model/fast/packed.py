"""Weights laid out once for oneDNN, the library that computes for PyTorch on a processor: it sorts other weights anew at every call.

Which layout is best depends on the shapes. Whatever was packed for one shape and is used with another, oneDNN sorts at every call, which
may take longer than the product. So nothing is packed here whose layout was seen to depend on the size of a map.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import Mlp
from torch import Tensor, nn

from cmirnet_cli.model.fast.winograd import TILE, TOGETHER, TileProducts

ALONE, GELU = "none", "gelu"
"""What is done to a product before it leaves the processor's cache."""
FEWEST_OUTPUTS = 64
"""Of a linear layer: packing a narrower one was measured to slow it down."""


def can_pack(device: torch.device) -> bool:
    """Whether oneDNN computes there."""
    return device.type == "cpu" and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def packs(dtype: torch.dtype) -> bool:
    """Whether oneDNN computes in a number format on this processor: in bf16 it requires AVX-512 or the like."""
    return dtype == torch.float32 or (dtype == torch.bfloat16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


class PackedLinear(nn.Module):
    """Takes the place of a linear layer on a processor, and of the exact GELU behind it. Its state dict is the layer's, bit for bit.

    Args:
        weight: (K, C); it is copied.
        bias: (K,), or none.

    Attributes:
        then: what is done to the product, nothing at first.
    """

    weight: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous()), persistent=False)
        self.bias = None if bias is None else bias.detach()
        self.then = ALONE

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., K), in the weight's number format."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(self.weight.dtype), self.weight, self.bias, self.then, [], "none")
        return product

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.weight.to_dense()
        if self.bias is not None:
            destination[f"{prefix}bias"] = self.bias


class PackedPointwise(nn.Module):
    """Takes the place of a 1×1 convolution on a processor, as the matrix product that it is.

    Args:
        convolution: whose place it takes; its weight is copied.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.linear = PackedLinear(convolution.weight.flatten(1), convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, K, H, W), whose channels lie together in memory."""
        mapped: Tensor = self.linear(x.permute(0, 2, 3, 1))
        return mapped.permute(0, 3, 1, 2)


class PackedConv(nn.Module):
    """Takes the place of a convolution on a processor.

    Args:
        convolution: whose place it takes; its weight is copied. It pads with zeros.
        size: (B, C, H, W) of what it is packed for, where that matters.
    """

    weight: Tensor

    def __init__(self, convolution: nn.Conv2d, size: tuple[int, ...] | None = None) -> None:
        super().__init__()
        assert not isinstance(convolution.padding, str)
        self.steps = list(convolution.padding), list(convolution.stride), list(convolution.dilation), convolution.groups
        weight = convolution.weight.detach().contiguous(memory_format=torch.channels_last)
        self.register_buffer("weight", torch.ops.mkldnn._reorder_convolution_weight(weight, *self.steps, size), persistent=False)
        self.bias = None if convolution.bias is None else convolution.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, K, H', W'), in the weight's number format."""
        x = x.to(self.weight.dtype)
        mapped: Tensor = torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.steps, ALONE, [], "")
        return mapped


class PackedTileProducts(nn.Module):
    """Takes the place of `TileProducts` on a processor: one convolution in which every kernel has its own group of channels.

    Args:
        products: whose place it takes; its kernel is copied.
    """

    def __init__(self, products: TileProducts) -> None:
        super().__init__()
        numbers, inputs, outputs = products.kernel.shape
        plain = nn.Conv2d(numbers * inputs, numbers * outputs, 1, groups=numbers, bias=False, device="meta")
        plain.weight = nn.Parameter(products.kernel.transpose(1, 2).reshape(-1, inputs, 1, 1), requires_grad=False)
        self.groups = PackedConv(plain, (1, numbers * inputs, 1, TOGETHER))

    def forward(self, tiles: Tensor) -> Tensor:
        """(t, 36, C) to (t, 36, K)."""
        row: Tensor = self.groups(tiles.flatten(1)[None, None].permute(0, 3, 1, 2))  # (1, 36·K, 1, t)
        return row.permute(0, 2, 3, 1).view(len(tiles), TILE**2, -1)


def packed(module: nn.Module) -> nn.Module:
    """What computes the same with a packed weight; the module itself where that is not possible, or does not pay."""
    if type(module) is TileProducts and packs(module.kernel.dtype):
        return PackedTileProducts(module)
    if type(module) is nn.Linear and packs(module.weight.dtype) and module.out_features >= FEWEST_OUTPUTS:
        return PackedLinear(module.weight, module.bias)
    if type(module) is nn.Conv2d and packs(module.weight.dtype) and module.padding_mode == "zeros":
        if module.kernel_size != (1, 1):
            return module if isinstance(module.padding, str) else PackedConv(module)
        if module.stride == (1, 1) and module.padding == (0, 0) and module.groups == 1 and module.out_channels >= FEWEST_OUTPUTS:
            return PackedPointwise(module)
    return module


def pack_all(network: nn.Module) -> None:
    """Pack what can be packed in a network, in place; in an `Mlp` of timm's, the exact GELU becomes part of the layer before it."""
    for parent in network.modules():
        for name, child in parent.named_children():
            if (fast := packed(child)) is not child:
                setattr(parent, name, fast)
        if isinstance(parent, Mlp) and isinstance(parent.fc1, PackedLinear) and _is_exact_gelu(parent.act):
            parent.fc1.then, parent.act = GELU, nn.Identity()


def _is_exact_gelu(module: nn.Module) -> bool:
    return type(module) is nn.GELU and module.approximate == "none"
