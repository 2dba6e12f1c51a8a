"""A mask laid over its image, cut out of it, or as a layer of its own, at the size at which it is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from cmirnet_cli.images.pixels import Mask, Pixels
from cmirnet_cli.reports.pictures.palette import INK, ORANGE, WHITE, Colour

DIMMED = 0.7
"""What is left of the light outside the mask."""
TINT = 0.2
"""How much of the colour lies over the object."""
OUTLINE = 160
"""The outline is one pixel wide for every so many pixels of the image's shorter side, and one pixel at least."""


def overlay(image: Pixels, mask: Mask, colour: Colour = ORANGE) -> Image.Image:
    """The image with the masked object tinted and outlined, and everything else slightly dimmed.

    Args:
        image: uint8 (H, W, 3), RGB.
        mask: bool (H, W).
        colour: of tint and outline. The outline lies inside the mask: no pixel outside takes on the colour.

    Raises:
        ValueError: the image is not uint8 (H, W, 3), or the mask is not bool or not of its size.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be uint8 (H, W, 3), not {image.dtype} {image.shape}")
    if mask.dtype != np.bool_ or mask.shape != image.shape[:2]:
        raise ValueError(f"mask must be bool {image.shape[:2]}, not {mask.dtype} {mask.shape}")
    pixels = image.astype(np.float32)
    pixels[~mask] *= DIMMED
    pixels[mask] += TINT * (np.asarray(colour, np.float32) - pixels[mask])
    pixels[inner_outline(mask, outline_width(mask))] = colour
    return Image.fromarray(pixels.round().astype(np.uint8))


def cutout(image: Pixels, mask: Mask) -> Image.Image:
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


def bounding_box(mask: Mask) -> tuple[int, int, int, int] | None:
    """Left, top, width and height of what a bool (H, W) mask holds, in pixels; None if that is nothing."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


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


OUTSIDE, INSIDE, EDGE, RING = range(4)
"""Places in the palette."""

HALO: Colour = INK
"""Colour of the edge that sets a bare outline off from a picture of its own colour."""

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
        A picture with a palette (mode P) of four colours, a few kilobytes as PNG.
    """
    places = np.where(mask, INSIDE, OUTSIDE).astype(np.uint8)
    places[inner_outline(mask, outline_width(mask))] = EDGE
    return _drawn(places, mask, (colour, colour, WHITE), (1 - DIMMED, TINT))


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
    places = np.where(outer_outline(mask, 2 * width), INSIDE, OUTSIDE).astype(np.uint8)
    places[outer_outline(mask, width)] = EDGE
    return _drawn(places, mask, (HALO, colour, colour), (0, 1))


def _drawn(places: NDArray[np.uint8], mask: Mask, colours: Sequence[Colour], opacities: Sequence[float]) -> Image.Image:
    """A layer from places in its palette: the colours inside, of the outline and of the ring, and how opaque outside and inside are."""
    layer = Image.fromarray(places)
    _draw_ring(layer, mask)
    layer.putpalette([0, 0, 0, *(channel for colour in colours for channel in colour)])
    layer.info["transparency"] = bytes([*(round(255 * opacity) for opacity in opacities), 255, 255])
    return layer


def _draw_ring(layer: Image.Image, mask: Mask) -> None:
    box, longer = bounding_box(mask), max(mask.shape)
    if box is None or max(box[2:]) > SMALL * longer:
        return
    left, top, width, height = box
    x, y, radius = left + (width - 1) / 2, top + (height - 1) / 2, RING_RADIUS * longer
    ring = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(layer).ellipse(ring, outline=RING, width=2 * outline_width(mask))
