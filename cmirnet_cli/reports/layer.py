"""A mask as a picture of its own, to be laid over the image and taken away again."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from cmirnet_cli.reports.overlay import DIMMED, TINT, Mask, inner_outline, outline_width
from cmirnet_cli.reports.palette import ORANGE, WHITE, Colour

OUTSIDE, INSIDE, OUTLINE, RING = range(4)
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
        A picture with a palette (mode P) of four colours, a few kilobytes as PNG.
    """
    places = np.where(mask, INSIDE, OUTSIDE).astype(np.uint8)
    places[inner_outline(mask, outline_width(mask))] = OUTLINE
    layer = Image.fromarray(places)
    _draw_ring(layer, mask)
    layer.putpalette([0, 0, 0, *colour, *colour, *WHITE])
    layer.info["transparency"] = bytes([_opacity(1 - DIMMED), _opacity(TINT), 255, 255])
    return layer


def _opacity(fraction: float) -> int:
    return round(255 * fraction)


def _draw_ring(layer: Image.Image, mask: Mask) -> None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    longer = max(mask.shape)
    if rows.size == 0 or max(np.ptp(rows), np.ptp(columns)) + 1 > SMALL * longer:
        return
    x, y, radius = (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2, RING_RADIUS * longer
    ring = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(layer).ellipse(ring, outline=RING, width=2 * outline_width(mask))
