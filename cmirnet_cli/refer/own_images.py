"""The images that one's own annotation files name: where they lie, how large they are, and which way up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.files import new_file
from cmirnet_cli.images.pixels import UnreadableImageError, open_image, upright_size
from cmirnet_cli.refer.layout import ImageFolders
from cmirnet_cli.refer.own import ReadOptions
from cmirnet_cli.refer.reader import LARGEST_IMAGE
from cmirnet_cli.refer.records import Record, is_path
from cmirnet_cli.refer.referent import ImageRecord

PICTURES = "pictures"
"""The folder, beside the annotations, that pictures in them are unpacked into."""

_SUFFIXES = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"RIFF": ".webp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"BM": ".bmp",
    b"GIF8": ".gif",
}


class OwnImages:
    """The images that one's own annotations name, each opened once for its size and for the way up that it was drawn in."""

    def __init__(self, root: Path, folders: Sequence[Path], options: ReadOptions) -> None:
        """Look in `options.images`, else in the given folders, in their order; an image's id is its path as seen from `root`."""
        self.root = options.images or (root if root.is_dir() else root.parent)
        self.folders = ImageFolders([options.images] if options.images else list(folders))
        self.upright = options.upright
        self.records: dict[str, ImageRecord] = {}
        self.moved: dict[Path, str] = {}

    def record(self, name: str, record: Record, width: int = 0, height: int = 0) -> ImageRecord:
        """The image of a name, as it was drawn on: upright, unless its size says that the stored picture was meant.

        A picture that is missing or unreadable keeps the annotated size: the check of all images names it.

        Args:
            name: as the file has it; a path of Windows counts too.
            record: what names it, for errors.
            width, height: the size that the annotations give, in pixels; 0 where they give none.

        Raises:
            AnnotationError: the name is not a path.
        """
        if name not in self.records:
            if not is_path(name):
                raise record.refused(f"{name!r} is not the path of an image")
            if width < 0 or height < 0 or width * height > LARGEST_IMAGE:
                raise record.refused(f"an image of {width}×{height} pixels cannot be read")
            path = self._place(name)
            sizes = _sizes(path)
            as_seen = sizes is None or (width, height) in ((0, 0), sizes[1]) or (width, height) != sizes[0]
            upright = as_seen if self.upright is None else self.upright
            if (width, height) == (0, 0) and sizes:
                width, height = sizes[upright]
            inside = path.is_relative_to(self.root)
            self.records[name] = ImageRecord(path.relative_to(self.root).as_posix() if inside else name, path, height, width, upright)
        return self.records[name]

    def _place(self, name: str) -> Path:
        """Where an image lies: under its name, or else, as files are moved once they are annotated, under the last part of it.

        That is done once for each file: of two folders that held pictures of the same name, the second stays missing.
        """
        path, forward = self.folders.find(name), name.replace("\\", "/")
        for each in (path, self.folders.find(forward)):
            if each.is_file():
                return each
        moved = self.folders.find(PurePosixPath(forward).name)
        return moved if moved.is_file() and self.moved.setdefault(moved, name) == name else path


def unpacked(content: bytes, folder: Path) -> str:
    """Write a picture that stands in an annotation file into a folder, once; the name of its file, which follows from its content."""
    suffix = next((suffix for start, suffix in _SUFFIXES.items() if content.startswith(start)), ".img")
    place = folder / f"{hashlib.sha256(content).hexdigest()[:24]}{suffix}"
    if not place.is_file() or place.stat().st_size != len(content):
        with new_file(place, AnnotationError, wait=False) as temporary:
            temporary.write_bytes(content)
    return place.name


def _sizes(path: Path) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """(width, height) of the stored picture and of the upright one; None if it cannot be opened."""
    try:
        with open_image(path) as picture:
            return picture.size, upright_size(picture)
    except UnreadableImageError:
        return None
