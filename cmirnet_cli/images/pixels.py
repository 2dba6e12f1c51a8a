"""Image files as RGB pixels: the one rule by which caches are made and by which photographs are read to be predicted on.

Any format that PIL reads by itself, and HEIC where pillow-heif is installed; of an animation the first frame, without transparency. PIL's
own conversion decides the colours, but for numbers of more than 8 bits:

16 bits                 scaled to 8, as `images.depth` says
32 bits, floating point  refused, unless the numbers fit into 16 bits: nothing says which value is white

A TIFF is set upright by PIL itself, in REFER's data sets as well, as it was for whoever published numbers on them.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError, __version__, features

from cmirnet_cli.errors import ImageError
from cmirnet_cli.images.depth import Range, eight_bits, lower_bytes
from cmirnet_cli.images.formats import pil_formats, why_unknown

Pixels: TypeAlias = NDArray[np.uint8]
"""RGB: uint8 (H, W, 3)."""

Mask: TypeAlias = NDArray[np.bool_]
"""Of what is looked for: bool (H, W)."""

_RAISED_BY_PIL = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, RuntimeError, TypeError, AttributeError, AssertionError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
"""What PIL's many decoders raise for files that are not an image, or only part of one, or enormous once unpacked."""

_START_OF_SCAN, _MOST_SCANS = b"\xff\xda", 100

_ORIENTATIONS, _LYING = range(1, 9), range(5, 9)
"""EXIF orientations; those whose upright picture is as wide as the stored one is high."""

_WHITE = 0xFFFF
"""White in greys of 16 bits."""

_DEEP = frozenset({"PNG", "TIFF"})
"""Formats whose colours may have 16 bits when PIL opens them."""


_HEAD = 64
"""Bytes that tell what a file is."""


class UnreadableImageError(ValueError):
    """A file is not an image, or only part of one, or enormous once unpacked; the text says which."""


class TooManyPixelsError(UnreadableImageError):
    """An image has more pixels than PIL unpacks; see `limit_pixels`."""


def limit_pixels(count: int) -> None:
    """Let this process unpack images of at most so many pixels; without it, PIL's own limit of 178,956,970 holds."""
    Image.MAX_IMAGE_PIXELS = count / 2  # type: ignore[assignment]  # PIL warns from here on, and refuses from twice as many on


def pixel_limit() -> int:
    """The most pixels of an image that this process unpacks."""
    return int(2 * (Image.MAX_IMAGE_PIXELS or 0))


@contextmanager
def pil_at_work() -> Iterator[None]:
    """Makes an UnreadableImageError of whatever PIL, and the system below it, raise in the block: compute nothing of ours there."""
    try:
        yield
    except UnreadableImageError:
        raise
    except _RAISED_BY_PIL as error:
        raise UnreadableImageError(str(error)) from error


def open_image(source: Path | IO[bytes]) -> ImageFile.ImageFile:
    """An image file of any format that PIL reads by itself; its pixels are not decoded yet, but for TIFF's.

    PIL always sets a TIFF upright while it decodes it, and in some versions knows its size only then.

    Raises:
        UnreadableImageError: there is no regular file (a pipe could be waited for without end), or it is not an image.
    """
    picture = _identified(source)
    # A scan of 200 bytes can say "no change" of every pixel, and takes as long to decode as a whole photograph.
    if picture.info.get("progressive") and (scans := _content(source).count(_START_OF_SCAN)) > _MOST_SCANS:
        raise UnreadableImageError(f"it has {scans} scans, where a photograph has about ten")
    if picture.format == "TIFF":
        with pil_at_work():
            picture.load()
    return picture


def _identified(source: Path | IO[bytes]) -> ImageFile.ImageFile:
    with pil_at_work():
        if isinstance(source, Path) and not source.is_file():
            raise FileNotFoundError("there is no such file")
        try:
            return Image.open(source, formats=pil_formats())
        except UnidentifiedImageError:
            raise UnreadableImageError(why_unknown(_content(source, _HEAD))) from None
        except Image.DecompressionBombError as error:
            width, height = _enormous_size(source)
            limit = pixel_limit()
            raise TooManyPixelsError(f"it has {width:,} × {height:,} pixels, and the limit is {limit:,}") from error


def _content(source: Path | IO[bytes], count: int = -1) -> bytes:
    """A file's first `count` bytes, or all; the place where it is read stays."""
    with pil_at_work(), source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        place = file.tell()
        file.seek(0)
        content = file.read(count)
        file.seek(place)
        return content


def _enormous_size(source: Path | IO[bytes]) -> tuple[int, int]:
    """(width, height) of an image that PIL opens no further, without saying its size; (0, 0) where the file does not say it."""
    head = io.BytesIO(_content(source))
    for make, accepts in (Image.OPEN[name] for name in pil_formats()):
        with suppress(*_RAISED_BY_PIL):
            if not accepts or accepts(head.getbuffer()[:16].tobytes()) is True:
                head.seek(0)
                return make(head, "").size
    return 0, 0


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


@dataclass(frozen=True)
class Decoded:
    """An image in RGB, and the range of its values, where it had 16 bits and was scaled by that."""

    picture: Image.Image
    scaled_by: Range | None


def rgb(source: bytes, path: str, *, upright: bool) -> Image.Image:
    """As `decode`, the image alone."""
    return decode(source, path, upright=upright).picture


def decode(source: bytes, path: str, *, upright: bool, own_range: bool = True) -> Decoded:
    """Decode an image file to RGB.

    Args:
        source: the file's bytes.
        path: what to call it in errors.
        upright: whether EXIF orientation is applied (one's own data) or ignored (as REFER's annotations do; but for TIFF).
        own_range: whether a picture of 16 bits that uses fewer is scaled by its own range.

    Raises:
        ImageError: the bytes are not a whole image, or would be enormous once unpacked; `path` is named.
    """
    try:
        return decoded(open_image(io.BytesIO(source)), io.BytesIO(source), upright=upright, own_range=own_range)
    except TooManyPixelsError as error:
        hint = "make it smaller, or raise the limit with predict --max-pixels, in Python with PIL.Image.MAX_IMAGE_PIXELS"
        raise ImageError(f"cannot decode {path}: {error}", hint=hint) from error
    except UnreadableImageError as error:
        raise ImageError(f"cannot decode {path}: {error}", hint="replace the file, or leave it out") from error


def decoded(picture: ImageFile.ImageFile, source: Path | IO[bytes], *, upright: bool, own_range: bool = True) -> Decoded:
    """As `decode`: `picture` as `open_image` opened it from `source`, and used up.

    Raises:
        UnreadableImageError: it cannot be decoded, or what is white in it is not known.
    """
    if own_range and picture.format in _DEEP:
        with _identified(source) as again:
            if lower := lower_bytes(again):
                return _scaled_colours(_turned(picture, upright=upright), _turned(lower, upright=upright))
    return _converted(picture, upright=upright, own_range=own_range)


def as_rgb(picture: Image.Image, *, upright: bool) -> Image.Image:
    """An opened image file by this module's rule; `picture` itself is used up. Colours of 16 bits lose their lower bytes here.

    Raises:
        UnreadableImageError: it cannot be decoded, or what is white in it is not known.
    """
    return _converted(picture, upright=upright, own_range=True).picture


def _converted(picture: Image.Image, *, upright: bool, own_range: bool) -> Decoded:
    picture, scaled_by = _turned(picture, upright=upright), None
    if picture.mode.startswith(("I", "F")):
        greys = np.asarray(picture)
        if picture.mode == "F" or greys.min() < 0 or greys.max() > _WHITE:
            raise UnreadableImageError("it has grey values of 32 bits, and nothing says which value is white; save it with 8 or 16 bits")
        pixels, scaled_by = eight_bits(greys, own_range=own_range)
        picture = Image.fromarray(pixels)
    with pil_at_work():
        if picture.mode == "P" and "transparency" in picture.info:  # PIL warns of the direct way, which gives the same colours
            picture = picture.convert("RGBA")
        return Decoded(picture if picture.mode == "RGB" else picture.convert("RGB"), scaled_by)


def _scaled_colours(upper: Image.Image, lower: Image.Image) -> Decoded:
    """A picture whose colours have 16 bits, from their upper and their lower bytes; transparency is left out."""
    colours = np.asarray(upper)[..., :3].astype(np.uint16) << 8 | np.asarray(lower)[..., :3]
    pixels, scaled_by = eight_bits(colours, own_range=True)
    return Decoded(Image.fromarray(pixels), scaled_by)


def _turned(picture: Image.Image, *, upright: bool) -> Image.Image:
    with pil_at_work():
        picture.load()
        if upright:
            ImageOps.exif_transpose(picture, in_place=True)
        return picture


def unreadable_file(path: Path, error: OSError) -> ImageError:
    """The error that says why the system cannot read an image file."""
    return ImageError(f"cannot read {path}: {error.strerror}", hint="put the file there, or leave it out")


def resized(picture: Image.Image | Pixels, height: int, width: int) -> Pixels:
    """uint8 (height, width, 3): PIL's bilinear, antialiased resize of RGB pixels; the aspect is not kept."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))
