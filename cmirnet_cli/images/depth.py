"""Pictures with 16 bits a channel as pictures of 8.

Where all bits are used, the upper 8 are taken, as PIL does with colours. Microscopes and thermal cameras use fewer, and the upper 8 are
then black or nearly so. Such a picture is scaled by its own range: its lowest value becomes 0, its highest 255.
"""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from cmirnet_cli.errors import counted

Range: TypeAlias = tuple[int, int]
"""The lowest and the highest value of a picture."""

_HALF = 1 << 15
"""A picture whose values are all lower uses fewer than 16 bits."""
_COLOURS = ("RGB", "RGBA")
_OTHER_ORDER = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
"""PIL's names for the order of the two bytes of a channel, each with the opposite one."""


def eight_bits(values: NDArray[Any], *, own_range: bool) -> tuple[NDArray[np.uint8], Range | None]:
    """Whole numbers from 0 to 65535, of any shape, as uint8 of that shape, and the range by which they were scaled.

    Args:
        values: a picture's channels.
        own_range: whether a picture that uses fewer than 16 bits is scaled by its own range. One of a single value has none.
    """
    low, high = int(values.min()), int(values.max())
    if own_range and low < high < _HALF:
        return np.rint((values.astype(np.float32) - low) * (255 / (high - low))).astype(np.uint8), (low, high)
    return (values >> 8).astype(np.uint8), None


def scaled_in_words(count: int, first: object, by: Range) -> str:
    """How many images were scaled by their own range, and how the first of them was, by its path."""
    return f"{counted(count, 'image')} of 16 bits scaled by their own range, as they use fewer: {first} from {by[0]} to {by[1]}"


def lower_bytes(picture: ImageFile.ImageFile) -> ImageFile.ImageFile | None:
    """A picture that was opened and not decoded yet, so that it decodes to the lower bytes of its colours; None if they have 8 bits.

    PIL has no pictures with colours of 16 bits: it decodes them to their upper bytes. Told that the bytes stand in the opposite order,
    it takes the lower ones.
    """
    if picture.mode not in _COLOURS or not picture.tile:
        return None
    tiles = []
    for tile in picture.tile:
        name, *rest = (tile.args,) if isinstance(tile.args, str) else tile.args or ("",)
        if name[:-4] not in _COLOURS or name[-4:] not in _OTHER_ORDER:
            return None
        swapped = name[:-4] + _OTHER_ORDER[name[-4:]]
        tiles.append(tile._replace(args=(swapped, *rest) if rest else swapped))
    picture.tile = tiles
    return picture
