"""Pictures that are masks, by one rule for every format: which pixels are the object, and what is odd about the picture.

black is background      whatever is not exactly black is the object, however dark
palette                  index 0 is background; the colours decide only where they contradict that: index 0 is not black, another is
alpha channel            where all has one colour, it decides; elsewhere what is fully transparent is background, and the colours
                         of what is left decide, or all of it is the object where that has one colour
JPEG                     refused: its black is not quite black
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cmirnet_cli.images.pixels import Mask, UnreadableImageError, pil_at_work

MaskOddity = Literal["alpha", "background", "noise", "inverted"]
"""What is odd about a picture that is a mask: its object is in the alpha channel; its background is not 0, or not quite; it has an object
all along its border and a hole inside, as a black object on white has."""

_BLURRING = frozenset({"JPEG", "MPO"})
_DEEP = ("I", "F")
_NEARLY_BLACK, _NEARLY_WHITE = slice(1, 16), slice(240, 255)
_NOISE = 0.01
"""The part of a picture that is nearly black once a JPEG was saved as something else; the soft edge of a drawn mask has less."""
_SHADES = 3


@dataclass(frozen=True)
class MaskPicture:
    """The object of a picture that is a mask.

    Attributes:
        pixels: bool (H, W).
        oddity: what should make its owner look at it.
    """

    pixels: Mask
    oddity: MaskOddity | None


def read_mask(opened: Image.Image) -> MaskPicture:
    """The object of an opened image file of any mode, upright as EXIF says.

    Raises:
        UnreadableImageError: it is a JPEG, or cannot be decoded.
    """
    if opened.format in _BLURRING:
        raise UnreadableImageError("it is a JPEG file, in which black is not quite black; draw the line and save it as PNG")
    with pil_at_work():
        picture = ImageOps.exif_transpose(opened)
    values, opacity = _channels(picture)
    coloured, contradictory = _by_index(picture, values) if picture.mode == "P" else (_is_set(values), False)
    pixels = coloured if opacity is None else _by_opacity(coloured, values, opacity)
    if contradictory or (pixels.all() and _varies(values)):
        return MaskPicture(pixels, "background")
    if _is_noisy(values):
        return MaskPicture(pixels, "noise")
    if _surrounds(pixels):
        return MaskPicture(pixels, "inverted")
    return MaskPicture(pixels, None if np.array_equal(pixels, coloured) else "alpha")


def _channels(picture: Image.Image) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """Indices, greys (H, W) or colours (H, W, 3); and the alpha channel, where there is one that says anything."""
    keyed = "transparency" in picture.info and not picture.mode.startswith(_DEEP)
    with pil_at_work():
        if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or keyed:
            coloured = picture.convert("RGBA")
            opacity = np.asarray(coloured)[..., 3]
            values = np.asarray(picture if picture.mode == "P" else coloured.convert("RGB"))
            return values, opacity if _varies(opacity) else None
        plain = picture.mode in ("1", "L", "P", "RGB") or picture.mode.startswith(_DEEP)
        return np.asarray(picture if plain else picture.convert("RGB")), None


def _is_set(values: NDArray[Any]) -> Mask:
    set_ = np.nan_to_num(values) != 0
    return np.asarray(set_.any(axis=-1) if set_.ndim == 3 else set_)


def _by_index(picture: Image.Image, indices: NDArray[Any]) -> tuple[Mask, bool]:
    """The object of a picture with a palette, and whether index 0 and the colours contradict each other."""
    black = np.zeros(256, dtype=bool)
    colours = np.array(picture.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    black[: len(colours)] = ~colours.any(axis=1)
    used = np.flatnonzero(np.bincount(indices.reshape(-1), minlength=256))
    if black[used[used > 0]].any() and not (0 in used and black[0]):
        return ~black[indices], bool(used[0] == 0)
    return indices != 0, False


def _by_opacity(coloured: Mask, values: NDArray[Any], opacity: NDArray[np.uint8]) -> Mask:
    if not _varies(values):
        return np.asarray(opacity > opacity.min())
    if opacity.min() > 0:
        return coloured
    visible = opacity > 0
    return visible & coloured if _varies(values[visible][None]) else visible


def _varies(values: NDArray[Any]) -> bool:
    """Whether numbers (H, W), or colours (H, W, 3), are not all the same."""
    return bool((values != values[:1, :1]).any())


def _is_noisy(values: NDArray[Any]) -> bool:
    """Whether greys or colours look like those of a black and white JPEG that was saved as something else: many shades of both."""
    if values.dtype != np.uint8:
        return False
    greys = np.bincount((values.max(axis=-1) if values.ndim == 3 else values).reshape(-1), minlength=256)
    shades = [np.count_nonzero(greys[end]) for end in (_NEARLY_BLACK, _NEARLY_WHITE)]
    return bool(min(shades) >= _SHADES and greys[_NEARLY_BLACK].sum() > _NOISE * greys.sum())


def _surrounds(pixels: Mask) -> bool:
    """Whether the object goes all around the border and leaves out something inside."""
    return not pixels.all() and all(edge.all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
