"""Counts are compared with a loop over pixels in NumPy and with counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmirnet_cli.metrics.counts import count


def masks(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4


def test_counts_by_hand() -> None:
    prediction = torch.tensor([[1, 1, 0], [0, 1, 0]]).bool()
    target = torch.tensor([[1, 0, 0], [0, 1, 1]]).bool()

    counts = count(prediction, target)

    assert (counts.intersection.item(), counts.union.item()) == (2, 4)


def test_counts_equal_a_loop_over_pixels() -> None:
    prediction, target = masks((3, 2, 5, 7), 1), masks((3, 2, 5, 7), 2)

    counts = count(prediction, target)

    assert counts.intersection.shape == counts.union.shape == (3, 2)
    for index in np.ndindex(3, 2):
        pairs = list(zip(prediction[index].flatten().tolist(), target[index].flatten().tolist(), strict=True))
        assert counts.intersection[index].item() == sum(p and t for p, t in pairs)
        assert counts.union[index].item() == sum(p or t for p, t in pairs)


def test_counts_are_int64_and_exact_beyond_what_float32_can_hold() -> None:
    everything = torch.ones(4097, 4097, dtype=torch.bool)

    counts = count(everything, everything)

    assert counts.union.dtype == counts.intersection.dtype == torch.int64
    assert counts.union.item() == 4097 * 4097 == 2**24 + 2 * 4096 + 1


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_counts_do_not_depend_on_how_masks_are_batched(size: int) -> None:
    prediction, target = masks((7, 6, 4), 3), masks((7, 6, 4), 4)
    whole = count(prediction, target)

    parts = [count(p, t) for p, t in zip(prediction.split(size), target.split(size), strict=True)]

    assert torch.cat([part.intersection for part in parts]).equal(whole.intersection)
    assert torch.cat([part.union for part in parts]).equal(whole.union)


def test_empty_masks_have_an_empty_union() -> None:
    nothing = torch.zeros(2, 4, 4, dtype=torch.bool)

    counts = count(nothing, nothing)

    assert counts.intersection.tolist() == counts.union.tolist() == [0, 0]


def test_a_batch_without_masks_gives_no_counts() -> None:
    assert count(torch.zeros(0, 4, 4).bool(), torch.zeros(0, 4, 4).bool()).union.shape == (0,)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_counts_on_cuda_equal_those_on_the_cpu() -> None:
    prediction, target = masks((4, 33, 65), 5), masks((4, 33, 65), 6)

    there, here = count(prediction.cuda(), target.cuda()), count(prediction, target)

    assert there.union.is_cuda
    assert there.intersection.cpu().equal(here.intersection)
    assert there.union.cpu().equal(here.union)


def test_soft_masks_are_refused() -> None:
    with pytest.raises(TypeError, match=r"prediction must be a bool mask, not torch\.float32"):
        count(torch.rand(4, 4), masks((4, 4), 1))


def test_masks_of_different_shape_are_never_broadcast() -> None:
    with pytest.raises(ValueError, match=r"prediction \(2, 4, 4\) and target \(4, 4\)"):
        count(masks((2, 4, 4), 1), masks((4, 4), 1))
