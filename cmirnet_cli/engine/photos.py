"""Photographs of one's own: finding them, and reading any of them as RGB pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cmirnet_cli.errors import DataError, ImageError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Photo:
    """An image file, and the relative path that its results are filed under."""

    path: Path
    name: Path


def find_photos(inputs: Sequence[str], *, recursive: bool = False) -> list[Photo]:
    """The images that files, folders and glob patterns name, each once, in order.

    Raises:
        DataError: an input names nothing.
    """
    found = [photo for entry in inputs for photo in _photos_of(entry, recursive)]
    return list({photo.path: photo for photo in found}.values())


def _photos_of(entry: str, recursive: bool) -> list[Photo]:
    path = Path(entry).expanduser()
    if path.is_dir():
        photos = [Photo(file, file.relative_to(path)) for file in _images_in(path, recursive)]
    elif path.exists():
        photos = [Photo(path, Path(path.name))]
    elif has_magic(entry):
        photos = [Photo(Path(file), Path(Path(file).name)) for file in sorted(glob(str(path), recursive=True)) if Path(file).is_file()]
    else:
        raise DataError(f"{entry} does not exist", hint="give image files, folders or a quoted pattern such as 'photos/*.jpg'")
    if not photos:
        raise DataError(f"{entry} holds no images ({', '.join(sorted(SUFFIXES))})", hint="--recursive also looks into folders below")
    return photos


def _images_in(folder: Path, recursive: bool) -> Iterator[Path]:
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(folders) if recursive else []
        yield from (Path(directory, name) for name in sorted(files) if Path(name).suffix.lower() in SUFFIXES)


def read_photo(path: Path) -> NDArray[np.uint8]:
    """The pixels as people see them: EXIF orientation applied, first frame, RGB: uint8 (H, W, 3).

    Raises:
        ImageError: the file is missing, broken, or of an enormous size.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            return np.asarray(_eight_bit(upright).convert("RGB"))
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} is too large to decode safely: {error}", hint="scale it down first") from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path} cannot be read as an image: {error}", hint="is it complete, and really an image?") from error


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit greys scaled to 8 bits; PIL's own conversion would clip them."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image
