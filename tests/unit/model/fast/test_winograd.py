"""Winograd's convolution against torch's own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.fast.winograd import WinogradConv, replaceable


def convolution(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(inputs + outputs)
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def worst(found: Tensor, expected: Tensor) -> float:
    """The largest difference, in standard deviations of what is expected."""
    return float((found - expected).abs().max() / expected.std())


@pytest.mark.parametrize("size", [(4, 4), (1, 1), (3, 9), (8, 13), (61, 62), (3, 500)])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_map_of_any_size_is_convolved_as_in_double_precision(size: tuple[int, int], bias: bool):
    plain = convolution(16, 24, bias)
    x = torch.randn(2, 16, *size)
    expected = F.conv2d(x.double(), plain.weight.double(), None if plain.bias is None else plain.bias.double(), padding=1)
    assert worst(WinogradConv(plain)(x), expected) < 5e-5


@torch.inference_mode()
def test_memory_layout_of_the_input_does_not_matter():
    plain, x = convolution(8, 8), torch.randn(1, 8, 10, 12)
    fast = WinogradConv(plain)
    torch.testing.assert_close(fast(x.contiguous(memory_format=torch.channels_last)), fast(x), rtol=0, atol=0)


@torch.inference_mode()
def test_maps_joined_inside_are_convolved_as_one():
    plain = convolution(16, 8)
    parts = torch.randn(2, 5, 9, 10), torch.randn(2, 11, 9, 10).contiguous(memory_format=torch.channels_last)
    fast = WinogradConv(plain)
    torch.testing.assert_close(fast(*parts), fast(torch.cat(parts, dim=1)), rtol=0, atol=0)


def test_threads_that_share_a_convolution_do_not_disturb_each_other():
    fast = WinogradConv(convolution(16, 8))
    images = torch.randn(40, 1, 16, 9, 10)
    expected = [fast(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(fast, images))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@torch.inference_mode()
def test_one_bright_pixel_paints_the_kernel():
    plain = convolution(1, 1, bias=False)
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 4, 4] = 1
    painted = WinogradConv(plain)(x)[0, 0]
    torch.testing.assert_close(painted[3:6, 3:6], plain.weight[0, 0].flip(0, 1), atol=1e-6, rtol=0)
    assert float(painted.abs().sum() - painted[3:6, 3:6].abs().sum()) < 1e-5


@torch.inference_mode()
def test_products_in_bf16_stay_within_a_few_hundredths():
    plain, x = convolution(64, 32), torch.randn(1, 64, 30, 30).relu()
    rounded = WinogradConv(plain, torch.bfloat16)(x)
    assert 1e-4 < float((rounded - plain(x)).std() / plain(x).std()) < 3e-2


@torch.inference_mode()
def test_autocast_around_it_changes_nothing_but_the_number_format():
    fast, x = WinogradConv(convolution(8, 8)), torch.randn(1, 8, 9, 9).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        inside = fast(x)
    assert inside.dtype == torch.bfloat16
    torch.testing.assert_close(inside, fast(x.float()).bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(8, 8, 1),
        nn.Conv2d(8, 8, 3),
        nn.Conv2d(8, 8, 3, padding=1, stride=2),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2),
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        nn.Linear(8, 8),
    ],
)
def test_what_it_cannot_replace_is_left_alone(other: nn.Module):
    assert replaceable(convolution(8, 8))
    assert not replaceable(other)
