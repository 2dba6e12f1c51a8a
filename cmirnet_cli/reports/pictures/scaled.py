"""Images and masks at the size at which they are shown."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from cmirnet_cli.reports.pictures.overlay import Mask, Photo

PICTURE = 420
"""Longer side of a card's picture in pixels, where the image's own is not shorter."""

STEP_SMOOTHING = 0.4
"""Blur of an enlarged mask's edge in pixels of the small mask; a single pixel survives it."""


def fitting_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height of an image when its longer side is `side` pixels."""
    scale = side / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def card_size(mask: Mask) -> tuple[int, int]:
    """Width and height of a card's picture of an image that has this mask, bool (H, W)."""
    height, width = mask.shape
    return fitting_size(width, height, min(PICTURE, max(width, height)))


def unsquared(image: Photo, size: tuple[int, int]) -> Image.Image:
    """An image as a network gets it, uint8 (S, S, 3), at a (width, height) of its file's aspect."""
    return Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)


def scaled_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask at another (width, height); where that is larger, its edge is smooth instead of in steps. No mask vanishes."""
    soft = Image.fromarray(mask).convert("L").resize(size, Image.Resampling.BICUBIC)
    enlargement = size[0] / mask.shape[1]
    if enlargement > 1:
        soft = soft.filter(ImageFilter.GaussianBlur(STEP_SMOOTHING * enlargement))
    scaled = np.asarray(soft) >= 128
    return scaled if scaled.any() else _wherever_any(mask, size)


def _wherever_any(mask: Mask, size: tuple[int, int]) -> Mask:
    """The smaller mask with every pixel that a pixel of the larger one falls into."""
    small = np.zeros(size[::-1], np.bool_)
    rows, columns = mask.nonzero()
    small[rows * size[1] // mask.shape[0], columns * size[0] // mask.shape[1]] = True
    return small
