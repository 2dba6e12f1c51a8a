"""Counting, and nothing else: two masks to the integers that every score is made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PIXELS = (-2, -1)


@dataclass(frozen=True)
class Counts:
    """Pixels that prediction and target share, and pixels that either holds: int64 (…), one pair of numbers for each mask."""

    intersection: Tensor
    union: Tensor


def count(prediction: Tensor, target: Tensor) -> Counts:
    """Count the pixels of each mask's intersection and union, exactly, on the device that the masks lie on.

    Args:
        prediction: bool (…, H, W).
        target: bool (…, H, W), of the same shape: masks are never broadcast, since that would count one of them twice.

    Raises:
        TypeError: a mask is not bool (thresholding is the caller's decision).
        ValueError: the shapes differ.
    """
    for name, mask in (("prediction", prediction), ("target", target)):
        if mask.dtype != torch.bool:
            raise TypeError(f"{name} must be a bool mask, not {mask.dtype}")
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} must have the same shape")
    return Counts(intersection=(prediction & target).sum(PIXELS), union=(prediction | target).sum(PIXELS))
