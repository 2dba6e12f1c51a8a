"""Counts are compared with a loop over pixels in NumPy and with counts made by hand."""

from __future__ import annotations

import pytest
import torch

from cmirnet_cli.metrics.counts import count
from cmirnet_cli.metrics.sentences import Overlap


def masks(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4


def test_counts_by_hand() -> None:
    prediction = torch.tensor([[1, 1, 0], [0, 1, 0]]).bool()
    target = torch.tensor([[1, 0, 0], [0, 1, 1]]).bool()

    assert count(prediction, target) == Overlap(intersection=2, union=4, predicted=3)


@pytest.mark.parametrize("seed", range(6))
def test_counts_equal_a_loop_over_pixels(seed: int) -> None:
    prediction, target = masks((5, 7), seed), masks((5, 7), seed + 6)

    pairs = list(zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True))

    expected = Overlap(sum(p and t for p, t in pairs), sum(p or t for p, t in pairs), sum(p for p, _ in pairs))
    assert count(prediction, target) == expected


def test_counts_are_exact_beyond_what_float32_can_hold() -> None:
    everything = torch.ones(4097, 4097, dtype=torch.bool)

    pixels = 2**24 + 2 * 4096 + 1
    assert count(everything, everything) == Overlap(pixels, pixels, pixels)


def test_empty_masks_have_an_empty_union() -> None:
    nothing = torch.zeros(4, 4, dtype=torch.bool)

    assert count(nothing, nothing) == Overlap(0, 0, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_counts_on_cuda_equal_those_on_the_cpu() -> None:
    prediction, target = masks((33, 65), 5), masks((33, 65), 6)

    assert count(prediction.cuda(), target.cuda()) == count(prediction, target)


def test_soft_masks_are_refused() -> None:
    with pytest.raises(TypeError, match=r"prediction must be a bool mask, not torch\.float32"):
        count(torch.rand(4, 4), masks((4, 4), 1))


def test_masks_of_different_shape_are_never_broadcast() -> None:
    with pytest.raises(ValueError, match=r"prediction \(2, 4, 4\) and target \(4, 4\)"):
        count(masks((2, 4, 4), 1), masks((4, 4), 1))
