"""Pixels as the network takes them, and the one augmentation of the published recipe."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise(image: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to ImageNet-normalised float32 (B, 3, H, W), on the image's device."""
    mean, std = (torch.tensor(values, device=image.device).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (image.permute(0, 3, 1, 2).float() / 255 - mean) / std


def random_crop(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The same `size` × `size` window of an image (H, W, 3) and its mask (H, W), uniformly placed."""
    top, left = (int(rng.integers(0, side - size + 1)) for side in mask.shape)
    window = (slice(top, top + size), slice(left, left + size))
    return image[window], mask[window]
