"""Counting, and nothing else: two masks to the integers that every score is made of."""

from __future__ import annotations

import torch
from torch import Tensor

from cmirnet_cli.metrics.sentences import Overlap


def count(prediction: Tensor, target: Tensor) -> Overlap:
    """Count the pixels of two masks and of their intersection and union, exactly, on the device that they lie on.

    Args:
        prediction: bool (H, W).
        target: bool (H, W), of the same shape: masks are never broadcast, since that would count pixels twice.

    Raises:
        TypeError: a mask is not bool (thresholding is the caller's decision).
        ValueError: the shapes differ.
    """
    for name, mask in (("prediction", prediction), ("target", target)):
        if mask.dtype != torch.bool:
            raise TypeError(f"{name} must be a bool mask, not {mask.dtype}")
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} must have the same shape")
    return Overlap(*torch.stack([(prediction & target).sum(), (prediction | target).sum(), prediction.sum()]).tolist())
