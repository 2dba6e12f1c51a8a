"""A mask laid over its image, cut out of it, or as a picture of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from PIL import Image

from cmirnet_cli.images.palette import GREEN, INK, ORANGE, PURPLE, SKY, VERMILION, YELLOW, Colour
from cmirnet_cli.images.pixels import Mask, Pixels

DIMMED = 0.7
"""What is left of the light outside the mask."""
TINT = 0.2
"""How much of the colour lies over the object."""
OUTLINE = 160
"""Each line of the outline is one pixel wide for every so many pixels of the image's shorter side, and one pixel at least."""
HALO: Colour = INK
"""The line around an outline, which sets it off from an image of its own colour."""


EXPRESSION_COLOURS = (ORANGE, SKY, PURPLE, YELLOW, VERMILION, GREEN)
"""For several masks on one picture: light enough to stand out from a dark line around each."""


def overlay(image: Pixels, mask: Mask, colour: Colour = ORANGE) -> Image.Image:
    """The image with the masked object tinted and outlined, and everything else slightly dimmed.

    The outline has two lines, which together are seen on any image: one in the colour, on the mask's own pixels, and a dark one around it.
    So every pixel on either side of an edge says on which side it lies, however ragged the mask is.

    Args:
        image: uint8 (H, W, 3), RGB.
        mask: bool (H, W).
        colour: of the tint and of the inner line. No pixel outside the mask takes it on.

    Raises:
        ValueError: the image is not uint8 (H, W, 3), or the mask is not bool or not of its size.
    """
    return overlays(image, [mask], [colour])


def overlays(image: Pixels, masks: Sequence[Mask], colours: Sequence[Colour] = EXPRESSION_COLOURS) -> Image.Image:
    """As `overlay` with several masks, each in a colour of its own; what lies in none of them is dimmed. Later ones lie above.

    Args:
        image: uint8 (H, W, 3), RGB.
        masks: bool (H, W) each.
        colours: of the masks in their order; where there are fewer, they come again.

    Raises:
        ValueError: the image is not uint8 (H, W, 3), or a mask is not bool or not of its size.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be uint8 (H, W, 3), not {image.dtype} {image.shape}")
    for mask in masks:
        if mask.dtype != np.bool_ or mask.shape != image.shape[:2]:
            raise ValueError(f"mask must be bool {image.shape[:2]}, not {mask.dtype} {mask.shape}")
    pixels = image.astype(np.float32)
    pixels[~np.logical_or.reduce(masks)] *= DIMMED
    for mask, colour in zip(masks, cycle(colours)):
        pixels[mask] += TINT * (np.asarray(colour, np.float32) - pixels[mask])
    for mask, colour in zip(masks, cycle(colours)):
        width = outline_width(mask)
        pixels[outer_outline(mask, width)] = HALO
        pixels[inner_outline(mask, width)] = colour
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
