"""Photographs of one's own as RGB pixels, whatever they are: files, bytes, and what Python holds already."""

from __future__ import annotations

import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import numpy as np
from PIL import Image

from cmirnet_cli.errors import ImageError
from cmirnet_cli.images.depth import Range
from cmirnet_cli.images.pixels import Pixels, as_rgb, decode, source_bytes

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Photo:
    """The pixels of an image file, uint8 (H, W, 3), as people see them: EXIF orientation is applied.

    Attributes:
        pixels: RGB.
        scaled_by: the range of its values, where it had 16 bits, used fewer and was scaled by that.
    """

    pixels: Pixels
    scaled_by: Range | None = None


def read_photo(path: Path, *, own_range: bool = True) -> Photo:
    """An image file, as `decoded` has it.

    Raises:
        ImageError: the file is missing, broken, or enormous once unpacked.
    """
    return decoded(photo_bytes(path), str(path), own_range=own_range)


def photo_bytes(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        ImageError: the file is missing or cannot be read.
    """
    with suppress(OSError):  # of a file that is missing or out of reach: reading it puts that into words
        if not stat.S_ISREG(path.stat().st_mode):  # a folder, or something such as a pipe, whose end nobody may ever see
            raise ImageError(f"{path} is not a regular file", hint="give an image file")
    return source_bytes(path)


def decoded(source: bytes, name: str, *, own_range: bool = True) -> Photo:
    """An image file, read as a cache reads it (`images.pixels`), EXIF orientation applied.

    Args:
        source: the file's bytes.
        name: what to call it in errors.
        own_range: whether a picture of 16 bits that uses fewer is scaled by its own range.

    Raises:
        ImageError: the bytes are not a whole image, or enormous once unpacked.
    """
    image = decode(source, name, upright=True, own_range=own_range)
    return Photo(np.asarray(image.picture), image.scaled_by)


ImageLike: TypeAlias = "str | Path | Image.Image | Pixels | Tensor"


def as_pixels(image: ImageLike) -> Pixels:
    """RGB pixels uint8 (H, W, 3) of a path, a PIL image, an array of that kind, or a tensor (3, H, W).

    A path is read with its EXIF orientation applied; a PIL image is taken as it lies in memory, so that a mask fits on it.

    Raises:
        ImageError: the image cannot be read, or the array or tensor is of another kind.
    """
    if isinstance(image, (str, Path)):
        return read_photo(Path(image)).pixels
    if isinstance(image, Image.Image):
        try:
            pixels = np.asarray(as_rgb(image, upright=False))
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(f"the PIL image cannot be read as RGB: {error}", hint="convert it first") from error
        if not pixels.size:
            raise ImageError(f"the PIL image is empty: it has {image.width} × {image.height} pixels", hint="check how it was cropped")
        return pixels
    if _is_tensor(image):
        return _from_tensor(image)
    if not isinstance(image, np.ndarray):
        raise ImageError(f"{type(image).__name__} is not an image", hint="give a path, a PIL image, an array or a tensor")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageError(f"expected an RGB array of uint8 (H, W, 3), not {image.dtype} {image.shape}", hint="convert it first")
    return image


def _is_tensor(image: object) -> TypeGuard[Tensor]:
    """Whether it is one of torch's, which is not loaded for this: without it nobody can have made one."""
    return "torch" in sys.modules and isinstance(image, sys.modules["torch"].Tensor)


def _from_tensor(image: Tensor) -> Pixels:
    import torch

    if image.ndim != 3 or image.shape[0] != 3 or not image.numel() or not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise ImageError(
            f"expected an RGB tensor (3, H, W), uint8 or floating from 0 to 1, not {image.dtype} {tuple(image.shape)}",
            hint="convert it first",
        )
    upright = image.detach().cpu().permute(1, 2, 0)
    if image.dtype == torch.uint8:
        return upright.contiguous().numpy()
    if not bool(((upright >= 0) & (upright <= 1)).all()):
        raise ImageError("a floating tensor must have values from 0 to 1", hint="divide by 255; do not normalise it")
    return (upright.float() * 255).round().to(torch.uint8).contiguous().numpy()
