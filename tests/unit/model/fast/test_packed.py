"""Layers with packed weights against torch's own."""

from __future__ import annotations

import pytest
import torch
from timm.layers import Mlp
from torch import nn

from cmirnet_cli.model.fast.packed import FEWEST_OUTPUTS, PackedConv, PackedLinear, PackedPointwise, can_pack, pack_all, packed
from cmirnet_cli.model.fast.winograd import WinogradConv

pytestmark = pytest.mark.skipif(not can_pack(torch.device("cpu")), reason="this PyTorch has no oneDNN")
WIDE = FEWEST_OUTPUTS


@torch.inference_mode()
@pytest.mark.parametrize("shape", [(2, 5, 7, 12), (3, 12)])
@pytest.mark.parametrize("bias", [False, True])
def test_packed_linear_layer_is_the_linear_layer(shape: tuple[int, ...], bias: bool):
    torch.manual_seed(0)
    linear, x = nn.Linear(12, WIDE, bias=bias), torch.randn(shape)
    fast = packed(linear)
    assert isinstance(fast, PackedLinear)
    torch.testing.assert_close(fast(x), linear(x), atol=1e-6, rtol=1e-5)
    kept, plain = fast.state_dict(), linear.state_dict()
    assert kept.keys() == plain.keys()
    assert all(torch.equal(kept[name], plain[name]) for name in plain)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("convolution", "kind"),
    [
        (nn.Conv2d(8, WIDE, 1), PackedPointwise),
        (nn.Conv2d(8, WIDE, 1, bias=False), PackedPointwise),
        (nn.Conv2d(8, 12, 3, padding=1), PackedConv),
        (nn.Conv2d(8, 12, 3, padding=2, dilation=2, bias=False), PackedConv),
        (nn.Conv2d(8, 12, 3, padding=1, groups=4), PackedConv),
        (nn.Conv2d(8, 12, 7, stride=2, padding=3), PackedConv),
    ],
    ids=str,
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_packed_convolution_is_the_convolution_on_maps_of_any_size(convolution: nn.Conv2d, kind: type, layout: torch.memory_format):
    fast = packed(convolution)
    assert type(fast) is kind
    for size in ((1, 8, 15, 11), (3, 8, 40, 40), (1, 8, 7, 7)):
        x = torch.randn(size).contiguous(memory_format=layout)
        torch.testing.assert_close(fast(x), convolution(x), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_winograd_with_packed_kernels_is_the_convolution():
    torch.manual_seed(0)
    plain = nn.Conv2d(64, 32, 3, padding=1)
    fast = nn.Sequential(WinogradConv(plain))
    pack_all(fast)
    for size in ((1, 64, 61, 62), (2, 64, 8, 13), (1, 64, 3, 500)):
        x = torch.randn(size)
        torch.testing.assert_close(fast(x), plain(x), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_exact_gelu_of_an_mlp_becomes_part_of_the_layer_before_it_and_another_activation_does_not():
    torch.manual_seed(0)
    x = torch.randn(5, 12)
    for activation, behind in ((nn.GELU, nn.Identity), (nn.ReLU, nn.ReLU), (lambda: nn.GELU(approximate="tanh"), nn.GELU)):
        mlp = Mlp(12, WIDE, 12, act_layer=activation)
        expected = mlp(x)
        pack_all(mlp)
        assert type(mlp.act) is behind
        torch.testing.assert_close(mlp(x), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        nn.Linear(8, WIDE - 1),
        nn.Conv2d(8, WIDE - 1, 1),
        nn.Conv2d(8, WIDE, 1, stride=2),
        nn.Conv2d(8, WIDE, 1, groups=2),
        nn.Conv2d(8, WIDE, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, WIDE, 3, padding="same"),
        nn.Linear(8, WIDE, dtype=torch.float64),
        nn.LayerNorm(8),
    ],
    ids=str,
)
def test_what_cannot_be_packed_or_does_not_pay_is_left_alone(other: nn.Module):
    assert packed(other) is other
