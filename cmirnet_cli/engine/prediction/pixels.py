"""Images in memory, of every kind that Python users have, as RGB pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cmirnet_cli.cache.picture import as_rgb
from cmirnet_cli.engine.prediction.photos import Pixels, read_photo
from cmirnet_cli.errors import ImageError

ImageLike: TypeAlias = str | Path | Image.Image | Pixels | Tensor


def resized(pixels: Pixels, size: int) -> Pixels:
    """RGB pixels brought to the network's size, as its recipe does (bilinear, antialiased, aspect not kept): uint8 (S, S, 3)."""
    return np.array(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))


def as_pixels(image: ImageLike) -> Pixels:
    """RGB pixels uint8 (H, W, 3) of a path, a PIL image, an array of that kind, or a tensor (3, H, W).

    A path is read with its EXIF orientation applied; a PIL image is taken as it lies in memory, so that a mask fits on it.

    Raises:
        ImageError: the image cannot be read, or the array or tensor is of another kind.
    """
    if isinstance(image, (str, Path)):
        return read_photo(Path(image))
    if isinstance(image, Image.Image):
        return _from_picture(image)
    if isinstance(image, Tensor):
        return _from_tensor(image)
    if not isinstance(image, np.ndarray):
        raise ImageError(f"{type(image).__name__} is no image", hint="give a path, a PIL image, an array or a tensor")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageError(f"expected an RGB array of uint8 (H, W, 3), not {image.dtype} {image.shape}", hint="convert it first")
    return image


def _from_picture(picture: Image.Image) -> Pixels:
    try:
        return np.asarray(as_rgb(picture, upright=False))
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"the PIL image cannot be read as RGB: {error}", hint="convert it first") from error


def _from_tensor(image: Tensor) -> Pixels:
    if image.ndim != 3 or image.shape[0] != 3 or not image.numel() or not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise ImageError(
            f"expected an RGB tensor (3, H, W), uint8 or floating from 0 to 1, not {image.dtype} {tuple(image.shape)}",
            hint="convert it first",
        )
    upright = image.detach().cpu().permute(1, 2, 0)
    if image.dtype == torch.uint8:
        return upright.contiguous().numpy()
    if not bool(((upright >= 0) & (upright <= 1)).all()):
        raise ImageError("a floating tensor must have values from 0 to 1", hint="divide by 255, and leave the normalising to us")
    return (upright.float() * 255).round().to(torch.uint8).contiguous().numpy()
