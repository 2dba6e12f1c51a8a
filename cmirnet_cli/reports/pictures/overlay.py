"""Masks and outlines as layers that pages lay over images, at the size at which they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from cmirnet_cli.images.drawing import DIMMED, HALO, TINT, inner_outline, outer_outline, outline_width
from cmirnet_cli.images.masks import bounding_box
from cmirnet_cli.images.palette import ORANGE, WHITE, Colour
from cmirnet_cli.images.pixels import Mask, Pixels

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


def unsquared(image: Pixels, size: tuple[int, int]) -> Image.Image:
    """An image as a network gets it, uint8 (S, S, 3), at a (width, height) of its file's aspect."""
    return Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)


def scaled_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask at another (width, height); where that is larger, its edge is smooth instead of in steps. No mask vanishes."""
    soft = Image.fromarray(mask).convert("L").resize(size, Image.Resampling.BICUBIC)
    enlargement = size[0] / mask.shape[1]
    if enlargement > 1:
        soft = soft.filter(ImageFilter.GaussianBlur(STEP_SMOOTHING * enlargement))
    scaled = np.asarray(soft) >= 128
    if scaled.any():
        return scaled
    nearest = np.zeros(size[::-1], np.bool_)
    rows, columns = mask.nonzero()
    nearest[rows * size[1] // mask.shape[0], columns * size[0] // mask.shape[1]] = True
    return nearest


OUTSIDE, INSIDE, EDGE, AROUND, RING = range(5)
"""Places in the palette."""

SMALL = 0.05
"""A mask within a box of so much of the image's longer side gets a ring around it, which the eye finds."""
RING_RADIUS = 0.06
"""The ring's, as a part of the image's longer side."""


def mask_layer(mask: Mask, colour: Colour = ORANGE) -> Image.Image:
    """What `overlay` does to an image, as a transparent picture: laid over the image it tints and outlines the object and dims the rest.

    A mask that is hard to see has a white ring around it.

    Args:
        mask: bool (H, W).
        colour: of tint and outline.

    Returns:
        A picture with a palette (mode P) of five colours, a few kilobytes as PNG.
    """
    places, width = np.where(mask, INSIDE, OUTSIDE).astype(np.uint8), outline_width(mask)
    places[inner_outline(mask, width)] = EDGE
    places[outer_outline(mask, width)] = AROUND
    return _drawn(places, mask, (colour, colour, HALO, WHITE), (1 - DIMMED, TINT))


def outline_layer(mask: Mask, colour: Colour = WHITE) -> Image.Image:
    """The outline of a mask as a transparent picture, around the object and with a dark edge; nothing else is touched.

    A mask that is hard to see has a ring around it.

    Args:
        mask: bool (H, W).
        colour: of the outline.

    Returns:
        As `mask_layer`.
    """
    width = outline_width(mask)
    places = np.where(outer_outline(mask, 2 * width), AROUND, OUTSIDE).astype(np.uint8)
    places[outer_outline(mask, width)] = EDGE
    return _drawn(places, mask, (colour, colour, HALO, colour), (0, 1))


def _drawn(places: NDArray[np.uint8], mask: Mask, colours: Sequence[Colour], opacities: Sequence[float]) -> Image.Image:
    """A layer from places in its palette: the colours of all but the outside, and how opaque outside and inside are."""
    layer = Image.fromarray(places)
    _draw_ring(layer, mask)
    layer.putpalette([0, 0, 0, *(channel for colour in colours for channel in colour)])
    layer.info["transparency"] = bytes([*(round(255 * opacity) for opacity in opacities), 255, 255, 255])
    return layer


def _draw_ring(layer: Image.Image, mask: Mask) -> None:
    box, longer = bounding_box(mask), max(mask.shape)
    if box is None or max(box[2:]) > SMALL * longer:
        return
    left, top, width, height = box
    x, y, radius = left + (width - 1) / 2, top + (height - 1) / 2, RING_RADIUS * longer
    ring = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(layer).ellipse(ring, outline=RING, width=2 * outline_width(mask))
