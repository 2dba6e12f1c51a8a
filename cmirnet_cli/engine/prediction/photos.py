"""Photographs of one's own: finding them, and reading any of them as RGB pixels."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import glob, has_magic
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import numpy as np
from PIL import Image

from cmirnet_cli.errors import DataError, ImageError
from cmirnet_cli.images.pixels import Pixels, as_rgb, rgb, source_bytes

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class PhotoFile:
    """An image file, and the relative path that its results are filed under."""

    path: Path
    name: Path


def find_photos(inputs: Sequence[str], *, recursive: bool = False, exclude: Path | None = None) -> list[PhotoFile]:
    """The images that files, folders and glob patterns name, in order.

    Args:
        inputs: files, folders and patterns; results are filed as seen from the folder, or from the part of a pattern without wildcards.
        recursive: whether folders are searched to the bottom.
        exclude: a folder that is not searched: the one that results go to, where it lies inside an input.

    Raises:
        DataError: an input names nothing, or a folder below it cannot be read.
    """
    return [photo for entry in inputs for photo in _photos_of(entry, recursive, exclude.resolve() if exclude else None)]


def listed_photo(path: Path, written: Path) -> PhotoFile:
    """The image that a list names, filed as it is `written` there, or under its bare name where that leads out of the list's folder."""
    return PhotoFile(path, Path(written.name) if written.is_absolute() or ".." in written.parts else written)


def _photos_of(entry: str, recursive: bool, exclude: Path | None) -> list[PhotoFile]:
    path = Path(entry).expanduser()
    if path.is_dir():
        return _in_folder(path, recursive, exclude)
    if path.exists():
        return [PhotoFile(path, Path(path.name))]
    if has_magic(entry):
        return _matching(path, exclude)
    raise DataError(f"{entry} does not exist", hint="give image files, folders or a quoted pattern such as 'photos/*.jpg'")


def _in_folder(folder: Path, recursive: bool, exclude: Path | None) -> list[PhotoFile]:
    photos = []
    for directory, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if Path(directory, name).resolve() != exclude) if recursive else []
        images = [Path(directory, name) for name in sorted(files) if Path(name).suffix.lower() in SUFFIXES]
        photos += [PhotoFile(file, file.relative_to(folder)) for file in images]
    if not photos:
        raise DataError(
            f"{folder} holds no images ({', '.join(sorted(SUFFIXES))})",
            hint="name a folder that holds some; a quoted pattern such as 'photos/**/*.jpg' also finds those in folders below",
        )
    return photos


def _refuse(problem: OSError) -> None:
    raise DataError(f"{problem.filename} cannot be read: {problem.strerror}", hint="change its permissions, or move it away") from problem


def _matching(pattern: Path, exclude: Path | None) -> list[PhotoFile]:
    fixed = Path(*takewhile(lambda part: not has_magic(part), pattern.parts))
    files = [file for file in map(Path, sorted(glob(str(pattern), recursive=True))) if file.is_file()]
    if exclude and fixed.resolve() in exclude.parents:
        files = [file for file in files if not file.parent.resolve().is_relative_to(exclude)]
    if not files:
        raise DataError(f"no file matches {pattern}", hint="** stands for any folders below, * for anything in a name")
    return [PhotoFile(file, file.relative_to(fixed)) for file in files]


def read_photo(path: Path) -> Pixels:
    """The pixels of an image file, as `decoded` has them.

    Raises:
        ImageError: the file is missing, broken, or enormous once unpacked.
    """
    with suppress(OSError):  # of a file that is missing or out of reach: reading it puts that into words
        if not stat.S_ISREG(path.stat().st_mode):  # a folder, or something such as a pipe, whose end nobody may ever see
            raise ImageError(f"{path} is not a regular file", hint="give an image file")
    return decoded(source_bytes(path), str(path))


def decoded(source: bytes, name: str) -> Pixels:
    """The pixels as people see them, read as a cache reads them (`images.pixels`), EXIF orientation applied: uint8 (H, W, 3).

    Args:
        source: an image file's bytes.
        name: what to call it in errors.

    Raises:
        ImageError: the bytes are no whole image, or enormous once unpacked.
    """
    return np.asarray(rgb(source, name, upright=True))


ImageLike: TypeAlias = "str | Path | Image.Image | Pixels | Tensor"


def as_pixels(image: ImageLike) -> Pixels:
    """RGB pixels uint8 (H, W, 3) of a path, a PIL image, an array of that kind, or a tensor (3, H, W).

    A path is read with its EXIF orientation applied; a PIL image is taken as it lies in memory, so that a mask fits on it.

    Raises:
        ImageError: the image cannot be read, or the array or tensor is of another kind.
    """
    if isinstance(image, (str, Path)):
        return read_photo(Path(image))
    if isinstance(image, Image.Image):
        try:
            return np.asarray(as_rgb(image, upright=False))
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(f"the PIL image cannot be read as RGB: {error}", hint="convert it first") from error
    if _is_tensor(image):
        return _from_tensor(image)
    if not isinstance(image, np.ndarray):
        raise ImageError(f"{type(image).__name__} is no image", hint="give a path, a PIL image, an array or a tensor")
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
        raise ImageError("a floating tensor must have values from 0 to 1", hint="divide by 255, and leave the normalising to us")
    return (upright.float() * 255).round().to(torch.uint8).contiguous().numpy()
