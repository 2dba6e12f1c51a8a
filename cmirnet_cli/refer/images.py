"""Which file a photograph lies in, which way up it is, and what it means that one cannot be read."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from PIL import ExifTags, Image

_LONGEST_NAME = 255
_LONGEST_PATH = 2048

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error, Image.DecompressionBombError)
"""What PIL raises for files that are no image, or only part of one."""

_LYING = range(5, 9)
"""EXIF orientations whose upright picture is as wide as the stored one is high."""


class ImageFolders:
    """The folders that photographs may lie in, in the order in which they are tried."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)

    def locate(self, file_name: str) -> Path:
        """Where the image `file_name` lies; where it was expected first if it lies nowhere.

        refclef's images come flat (`1012.jpg`) or nested (`25/images/1012.jpg`), in the annotations as well as on disk: a
        nested name is tried flat too, and a flat one nested.
        """
        written = PurePosixPath(file_name)
        names = (file_name, written.name) if written.parent.name == "images" else (file_name,)
        for folder in self.folders:
            for name in names:
                path = folder / name
                if path.is_file():
                    return path
        return self._nested.get(file_name, self.folders[0] / file_name)

    @cached_property
    def _nested(self) -> dict[str, Path]:
        """The first of each name among the files at `*/images/*`."""
        return {path.name: path for folder in reversed(self.folders) for path in sorted(folder.glob("*/images/*"), reverse=True)}


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """(width, height) of an open image file once its EXIF orientation is applied; no pixel is decoded."""
    width, height = picture.size
    return (height, width) if picture.getexif().get(ExifTags.Base.Orientation) in _LYING else (width, height)


def is_path(text: str) -> bool:
    """Whether a file system can hold a file of this path."""
    return 0 < len(text.encode()) <= _LONGEST_PATH and all(len(part.encode()) <= _LONGEST_NAME for part in PurePosixPath(text).parts)


def stays_inside(text: str) -> bool:
    """Whether a path leads to a place below the folder it is read from."""
    path = PurePosixPath(text)
    return not path.is_absolute() and ".." not in path.parts
