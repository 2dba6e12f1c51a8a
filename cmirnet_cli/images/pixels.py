"""Image files as RGB pixels: the one rule by which caches are made and by which photographs are read to be predicted on.

Any format that PIL reads by itself, of an animation the first frame, without transparency. PIL's own conversion decides the
colours, but for two kinds of grey whose numbers it would only clip to 255:

16 bits                 scaled to 8, as PIL does with the colours of 16 bits
32 bits, floating point  refused, unless the numbers fit into 16 bits: what is white is not known

A TIFF is set upright by PIL itself, in REFER's data sets as well, as it was for whoever published numbers on them.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, __version__, features

from cmirnet_cli.errors import ImageError

Pixels: TypeAlias = NDArray[np.uint8]
"""RGB: uint8 (H, W, 3)."""

Mask: TypeAlias = NDArray[np.bool_]
"""Of what is looked for: bool (H, W)."""

_RAISED_BY_PIL = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, RuntimeError, TypeError, AttributeError, AssertionError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
"""What PIL's many decoders raise for files that are no image, or only part of one, or enormous once unpacked."""

_RUN_PROGRAMS = frozenset({"EPS"})
"""Formats that PIL hands to another program: Ghostscript runs what a PostScript file says."""

_START_OF_SCAN, _MOST_SCANS = b"\xff\xda", 100

_ORIENTATIONS, _LYING = range(1, 9), range(5, 9)
"""EXIF orientations; those whose upright picture is as wide as the stored one is high."""

_WHITE = 0xFFFF
"""White in greys of 16 bits."""


class UnreadableImageError(ValueError):
    """A file is no image, or only part of one, or enormous once unpacked; the text says which."""


@contextmanager
def pil_at_work() -> Iterator[None]:
    """Makes an UnreadableImageError of whatever PIL, and the system below it, raise in the block: compute nothing of ours there."""
    try:
        yield
    except _RAISED_BY_PIL as error:
        raise UnreadableImageError(str(error)) from error


def open_image(source: Path | IO[bytes]) -> Image.Image:
    """An image file of any format that PIL reads by itself; its pixels are not decoded yet, but for TIFF's.

    PIL always sets a TIFF upright while it decodes it, and in some versions knows its size only then.

    Raises:
        UnreadableImageError: there is no regular file (a pipe could be waited for without end), or it is no image.
    """
    picture = _identified(source)
    # A scan of 200 bytes can say "no change" of every pixel, and takes as long to decode as a whole photograph.
    if picture.info.get("progressive") and (scans := _content(source).count(_START_OF_SCAN)) > _MOST_SCANS:
        raise UnreadableImageError(f"it has {scans} scans, where a photograph has about ten")
    if picture.format == "TIFF":
        with pil_at_work():
            picture.load()
    return picture


def _identified(source: Path | IO[bytes]) -> Image.Image:
    with pil_at_work():
        if isinstance(source, Path) and not source.is_file():
            raise FileNotFoundError("there is no such file")
        try:
            return Image.open(source, formats=_formats())
        except UnidentifiedImageError:
            raise UnreadableImageError("it is in no image format that is read here") from None


def _content(source: Path | IO[bytes]) -> bytes:
    with pil_at_work():
        if isinstance(source, Path):
            return source.read_bytes()
        place = source.tell()
        source.seek(0)
        content = source.read()
        source.seek(place)
        return content


@cache
def _formats() -> tuple[str, ...]:
    """The usual ones first, as PIL tries them."""
    Image.preinit()
    Image.init()
    return tuple(name for name in Image.ID if name not in _RUN_PROGRAMS)


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """(width, height) of an open image file once its EXIF orientation is applied; of a PNG without one all is decoded.

    Raises:
        UnreadableImageError: it cannot be decoded, or its EXIF data cannot.
    """
    width, height = picture.size
    return (height, width) if orientation(picture) in _LYING else (width, height)


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation of an open image file, 1 to 8; 1 where it has none. Raises as `upright_size`."""
    with pil_at_work():
        way = picture.getexif().get(ExifTags.Base.Orientation)
    return next((each for each in _ORIENTATIONS if each == way), 1)


def decoder() -> str:
    """The libraries that decide the pixels, with their versions."""
    return f"Pillow {__version__}, jpeg {features.version('libjpeg_turbo') or features.version('jpg')}"


def source_bytes(path: Path) -> bytes:
    """An image file's bytes. Raises ImageError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable_file(path, error) from error


def source_size(path: Path) -> int:
    """An image file's size in bytes. Raises ImageError if it cannot be found."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise unreadable_file(path, error) from error


def rgb(source: bytes, path: str, *, upright: bool) -> Image.Image:
    """Decode an image file to RGB.

    Args:
        source: the file's bytes.
        path: what to call it in errors.
        upright: whether EXIF orientation is applied (one's own data) or ignored (as REFER's annotations do; but for TIFF).

    Raises:
        ImageError: the bytes are not a whole image, or would be enormous once unpacked; `path` is named.
    """
    try:
        return as_rgb(open_image(io.BytesIO(source)), upright=upright)
    except UnreadableImageError as error:
        raise ImageError(f"cannot decode {path}: {error}", hint="replace the file, or leave it out") from error


def as_rgb(picture: Image.Image, *, upright: bool) -> Image.Image:
    """An opened image file by this module's rule; `picture` itself is used up.

    Raises:
        UnreadableImageError: it cannot be decoded, or what is white in it is not known.
    """
    with pil_at_work():
        picture.load()
        if upright:
            ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith(("I", "F")):
        picture = _eight_bits(picture)
    with pil_at_work():
        if picture.mode == "P" and "transparency" in picture.info:  # PIL warns of the direct way, which gives the same colours
            picture = picture.convert("RGBA")
        return picture if picture.mode == "RGB" else picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    greys = np.asarray(picture)
    if picture.mode == "F" or greys.min() < 0 or greys.max() > _WHITE:
        raise UnreadableImageError("its greys have 32 bits, and what is white among them is not known; save it with 8 or 16 bits")
    return Image.fromarray((greys >> 8).astype(np.uint8))


def unreadable_file(path: Path, error: OSError) -> ImageError:
    """The error that says why the system cannot read an image file."""
    return ImageError(f"cannot read {path}: {error.strerror}", hint="put the file there, or leave it out")


def resized(picture: Image.Image | Pixels, height: int, width: int) -> Pixels:
    """uint8 (height, width, 3): PIL's bilinear, antialiased resize of RGB pixels; the aspect is not kept."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))
