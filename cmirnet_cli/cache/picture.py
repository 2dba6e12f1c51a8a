"""Image files as RGB pixels: the one rule by which caches are made and by which photographs are read to be asked about.

Any format that PIL reads by itself, of an animation the first frame, without transparency. PIL's own conversion decides the
colours, but for two kinds of grey whose numbers it would only clip to 255:

16 bits                 scaled to 8, as PIL does with the colours of 16 bits
32 bits, floating point  refused, unless the numbers fit into 16 bits: what is white is not known

A TIFF is set upright by PIL itself, in REFER's data sets as well, as it was for whoever published numbers on them.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, __version__, features

from cmirnet_cli.durable import sha256_of
from cmirnet_cli.errors import ImageError
from cmirnet_cli.refer.images import UnreadableImageError, open_image, pil_at_work

_WHITE = 0xFFFF


def decoder() -> str:
    """The libraries that decide the pixels, with their versions."""
    return f"Pillow {__version__}, jpeg {features.version('libjpeg_turbo') or features.version('jpg')}"


def source_bytes(path: Path) -> bytes:
    """An image file's bytes. Raises ImageError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _missing(path, error) from error


def source_digest(path: Path) -> str:
    """Sha256 of an image file's bytes. Raises ImageError if it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise _missing(path, error) from error


def source_size(path: Path) -> int:
    """An image file's size in bytes. Raises ImageError if it cannot be found."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise _missing(path, error) from error


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


def _missing(path: Path, error: OSError) -> ImageError:
    return ImageError(f"cannot read {path}: {error.strerror}", hint="put the file there, or leave it out")
