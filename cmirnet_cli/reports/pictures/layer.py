"""A mask as a picture of its own, to be laid over the image and taken away again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cmirnet_cli.reports.pictures.overlay import DIMMED, TINT, Mask, bounding_box, inner_outline, outer_outline, outline_width
from cmirnet_cli.reports.pictures.palette import INK, ORANGE, WHITE, Colour

OUTSIDE, INSIDE, OUTLINE, RING = range(4)
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
    places[inner_outline(mask, outline_width(mask))] = OUTLINE
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
    places[outer_outline(mask, width)] = OUTLINE
    return _drawn(places, mask, (HALO, colour, colour), (0, 1))


def _drawn(places: NDArray[np.uint8], mask: Mask, colours: Sequence[Colour], opacities: Sequence[float]) -> Image.Image:
    """A layer from places in its palette: the colours inside, of the outline and of the ring, and how opaque outside and inside are."""
    layer = Image.fromarray(places)
    _draw_ring(layer, mask)
    layer.putpalette([0, 0, 0, *(channel for colour in colours for channel in colour)])
    layer.info["transparency"] = bytes([*map(_opacity, opacities), 255, 255])
    return layer


def _opacity(fraction: float) -> int:
    return round(255 * fraction)


def _draw_ring(layer: Image.Image, mask: Mask) -> None:
    box, longer = bounding_box(mask), max(mask.shape)
    if box is None or max(box[2:]) > SMALL * longer:
        return
    left, top, width, height = box
    x, y, radius = left + (width - 1) / 2, top + (height - 1) / 2, RING_RADIUS * longer
    ring = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(layer).ellipse(ring, outline=RING, width=2 * outline_width(mask))
