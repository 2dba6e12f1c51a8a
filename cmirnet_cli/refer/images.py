"""Which file a photograph lies in, which way up it is, and what it means that one cannot be read."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import ExifTags, Image, UnidentifiedImageError

_LONGEST_NAME = 255
_LONGEST_PATH = 2048

_RAISED_BY_PIL = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, RuntimeError, TypeError, AttributeError, AssertionError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
"""What PIL's many decoders raise for files that are no image, or only part of one, or enormous once unpacked."""

_RUN_PROGRAMS = frozenset({"EPS"})
"""Formats that PIL hands to another program: Ghostscript runs what a PostScript file says."""

PICTURE = re.compile(r".+\.(jpe?g|png|tiff?|bmp|webp)", re.IGNORECASE)
"""Names of photographs."""

_ENTRIES = 1000
"""How many entries of a folder are looked at before it counts as one without photographs."""

_START_OF_SCAN, _MOST_SCANS = b"\xff\xda", 100

_LYING = range(5, 9)
"""EXIF orientations whose upright picture is as wide as the stored one is high."""


class UnreadableImageError(ValueError):
    """A file is no image, or only part of one, or enormous once unpacked; the text says which."""


@contextmanager
def pil_at_work() -> Iterator[None]:
    """Makes an UnreadableImageError of whatever PIL, and the system below it, raise in the block: compute nothing of ours there."""
    try:
        yield
    except _RAISED_BY_PIL as error:
        raise UnreadableImageError(str(error)) from error


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
                if _is_there(path):
                    return path
        return self._nested.get(file_name, self.folders[0] / file_name)

    @cached_property
    def _nested(self) -> dict[str, Path]:
        """The first of each name among the files at `*/images/*`."""
        return {path.name: path for folder in reversed(self.folders) for path in sorted(folder.glob("*/images/*"), reverse=True)}


def open_image(source: Path | IO[bytes]) -> Image.Image:
    """An image file of any format that PIL reads by itself; its pixels are not decoded yet, but for TIFF's.

    PIL sets a TIFF upright while it decodes it, whatever is asked for, and in some versions knows its size only then.

    Raises:
        UnreadableImageError: there is no regular file (a pipe could be waited for without end), or it is no image.
    """
    picture = _identified(source)
    if picture.info.get("progressive"):
        _refuse_many_scans(_content(source))
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


def _refuse_many_scans(jpeg: bytes) -> None:
    """A scan of 200 bytes can say "no change" of every pixel, and takes as long to decode as a whole photograph."""
    if (scans := jpeg.count(_START_OF_SCAN)) > _MOST_SCANS:
        raise UnreadableImageError(f"it has {scans} scans, where a photograph has about ten")


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


def _is_there(path: Path) -> bool:
    """Whether a file is there as far as one may look."""
    try:
        return path.is_file()
    except PermissionError:
        return False


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """(width, height) of an open image file once its EXIF orientation is applied; of a PNG without one all is decoded.

    Raises:
        UnreadableImageError: it cannot be decoded, or its EXIF data cannot.
    """
    width, height = picture.size
    with pil_at_work():
        lies = picture.getexif().get(ExifTags.Base.Orientation) in _LYING
    return (height, width) if lies else (width, height)


def holds_pictures(folder: Path) -> bool:
    """Whether photographs lie right in a folder, which must be there."""
    with os.scandir(folder) as entries:
        return any(PICTURE.fullmatch(entry.name) for entry in islice(entries, _ENTRIES))


def is_path(text: str) -> bool:
    """Whether a file system can hold a file of this path."""
    return 0 < len(text.encode()) <= _LONGEST_PATH and all(len(part.encode()) <= _LONGEST_NAME for part in PurePosixPath(text).parts)


def stays_inside(text: str) -> bool:
    """Whether a path leads to a place below the folder it is read from."""
    path = PurePosixPath(text)
    return not path.is_absolute() and ".." not in path.parts
