"""What pictures are drawn with: text that fits, and shapes with smooth edges."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import lru_cache
from typing import cast

from PIL import Image, ImageDraw, ImageFont

from cmirnet_cli.reports.pictures.palette import Colour

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

ELLIPSIS = "…"
_SMOOTHING = 4


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in font, `size` pixels high. It has Latin letters; of other scripts it draws boxes."""
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


def text_width(text: str, size: int) -> int:
    """Pixels that a line of text takes."""
    return round(font(size).getlength(text))


def wrapped(text: str, size: int, width: int, lines: int) -> list[str]:
    """`text` in at most `lines` lines of at most `width` pixels; an ellipsis ends it where it was too long."""
    rest = _drawable(text)[: lines * width + 1]
    result: list[str] = []
    while rest and len(result) < lines:
        line = _first_line(rest, size, width)
        rest = rest[len(line) :].lstrip()
        result.append(line.rstrip())
    if rest:
        result[-1] = _shortened(result[-1], size, width)
    return result


def _drawable(text: str) -> str:
    """In one line and without accents, which the built-in font lacks."""
    letters = unicodedata.normalize("NFKD", " ".join(text.split()))
    return unicodedata.normalize("NFC", "".join(letter for letter in letters if not unicodedata.combining(letter)))


def _first_line(text: str, size: int, width: int) -> str:
    """The start of `text` that fits: up to a space, or to any letter of a word that is longer than the line."""
    fits = _fitting(text, size, width)
    if fits == len(text) or text[fits] == " ":
        return text[:fits]
    return text[: text.rfind(" ", 0, fits) + 1] or text[:fits]


def _fitting(text: str, size: int, width: int) -> int:
    """How many letters of `text` fit into `width` pixels; at least one."""
    fitting = bisect_right(range(len(text) + 1), width, key=lambda letters: text_width(text[:letters], size)) - 1
    return max(1, fitting)


def _shortened(line: str, size: int, width: int) -> str:
    while line and text_width(line + ELLIPSIS, size) > width:
        line = line[:-1]
    return line.rstrip() + ELLIPSIS


def draw_rounded(canvas: Image.Image, box: Box, radius: int, fill: Colour) -> None:
    """Draw a filled rectangle with round corners onto an RGB canvas."""
    size = (box[2] - box[0], box[3] - box[1])
    canvas.paste(fill, box, rounded(size, radius))


@lru_cache
def rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """A mask (mode L) of a rectangle with round, smooth corners."""
    large = Image.new("L", (size[0] * _SMOOTHING, size[1] * _SMOOTHING))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, large.width - 1, large.height - 1), radius * _SMOOTHING, fill=255)
    return large.reduce(_SMOOTHING)
