"""A mask laid over its image, cut out of it, or by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmirnet_cli.reports.pictures.palette import ORANGE, Colour

Mask = NDArray[np.bool_]
Photo = NDArray[np.uint8]

DIMMED = 0.7
"""What is left of the light outside the mask."""
TINT = 0.2
"""How much of the colour lies over the object."""
OUTLINE = 160
"""The outline is one pixel wide for every so many pixels of the image's shorter side, and one pixel at least."""


def overlay(image: Photo, mask: Mask, colour: Colour = ORANGE) -> Image.Image:
    """The image with the masked object tinted and outlined, and everything else slightly dimmed.

    Args:
        image: uint8 (H, W, 3), RGB.
        mask: bool (H, W).
        colour: of tint and outline. The outline lies inside the mask: no pixel outside takes on the colour.

    Raises:
        ValueError: the mask is not bool or not of the image's size.
    """
    check_mask(image, mask)
    pixels = image.astype(np.float32)
    pixels[~mask] *= DIMMED
    pixels[mask] += TINT * (np.asarray(colour, np.float32) - pixels[mask])
    pixels[inner_outline(mask, outline_width(mask))] = colour
    return Image.fromarray(pixels.round().astype(np.uint8))


def cutout(image: Photo, mask: Mask) -> Image.Image:
    """The object of a bool (H, W) mask on transparency, RGBA; what is transparent is black: nothing of the rest is left in the picture."""
    kept = mask[..., None].astype(np.uint8)
    return Image.fromarray(np.concatenate([image * kept, 255 * kept], axis=2))


def mask_picture(mask: Mask) -> Image.Image:
    """A bool (H, W) mask in grey: 255 on the object and 0 elsewhere."""
    return Image.fromarray(mask.astype(np.uint8) * 255)


def outline_width(mask: Mask) -> int:
    """How many pixels wide an outline is drawn in a picture of the mask's size."""
    return int(max(1, round(min(mask.shape) / OUTLINE)))


def inner_outline(mask: Mask, width: int) -> Mask:
    """The pixels of a bool (H, W) mask that lie at most `width` pixels from its outside; beyond the image's border is outside."""
    return mask & ~_shrunk(mask, width, beyond=False)


def outer_outline(mask: Mask, width: int) -> Mask:
    """The pixels outside a bool (H, W) mask that lie at most `width` pixels from it."""
    return ~mask & ~_shrunk(~mask, width, beyond=True)


def _shrunk(mask: Mask, width: int, *, beyond: bool) -> Mask:
    """The pixels with nothing but mask up to `width` pixels around them; `beyond` says whether the mask goes on past the border."""
    return _shrunk_downwards(_shrunk_downwards(mask, width, beyond).T, width, beyond).T


def _shrunk_downwards(mask: Mask, width: int, beyond: bool) -> Mask:
    padded = np.pad(mask, ((width, width), (0, 0)), constant_values=beyond)
    shrunk = mask.copy()
    for shift in range(2 * width + 1):
        shrunk &= padded[shift : shift + len(mask)]
    return shrunk


def check_mask(image: Photo, mask: Mask) -> None:
    """Raise ValueError unless the image is uint8 (H, W, 3) and the mask bool (H, W)."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be uint8 (H, W, 3), not {image.dtype} {image.shape}")
    if mask.dtype != np.bool_ or mask.shape != image.shape[:2]:
        raise ValueError(f"mask must be bool {image.shape[:2]}, not {mask.dtype} {mask.shape}")


def bounding_box(mask: Mask) -> tuple[int, int, int, int] | None:
    """Left, top, width and height of what a bool (H, W) mask holds, in pixels; None if that is nothing."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
