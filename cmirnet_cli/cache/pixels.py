"""Image files and masks at the network's size, exactly as PIL makes them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, __version__, features
from pycocotools import mask as coco

from cmirnet_cli.errors import ImageError

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error, Image.DecompressionBombError)
"""What PIL raises for files that are no image, or only part of one."""


def decoder() -> str:
    """The libraries that decide the pixels, with their versions."""
    return f"Pillow {__version__}, jpeg {features.version('libjpeg_turbo') or features.version('jpg')}"


def source_bytes(path: Path) -> bytes:
    """An image file's bytes. Raises ImageError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _missing(path, error) from error


def source_size(path: Path) -> int:
    """An image file's size in bytes. Raises ImageError if it cannot be found."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise _missing(path, error) from error


def rgb(source: bytes, path: str) -> Image.Image:
    """Decode an image file to RGB. EXIF orientation is ignored, as REFER's annotations do.

    Raises:
        ImageError: the bytes are not a whole image; `path` is named.
    """
    try:
        return Image.open(io.BytesIO(source)).convert("RGB")
    except UNREADABLE as error:
        raise ImageError(f"cannot decode {path}: {error}", hint="leave it out with --skip-bad, or replace the file") from error


def resized(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """uint8 (S, S, 3): PIL's bilinear, antialiased resize of an RGB image; the aspect is not kept."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def resized_mask(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """uint8 (S, S): PIL's nearest resize of a uint8 (H, W) mask."""
    return np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST))


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """COCO's compressed RLE counts of a uint8 (H, W) mask."""
    return bytes(coco.encode(np.asfortranarray(mask))["counts"])


def decode_mask(counts: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """uint8 (H, W) mask from COCO's compressed RLE counts."""
    return np.ascontiguousarray(coco.decode({"size": [height, width], "counts": counts}))


def _missing(path: Path, error: OSError) -> ImageError:
    return ImageError(f"cannot read {path}: {error.strerror}", hint="leave it out with --skip-bad, or put the file there")
