"""What a command is about to write: whether its place is free and has room, and pictures by the suffix of their name."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from cmirnet_cli.durable import write_bytes
from cmirnet_cli.errors import CmirnetError, UsageError

SMALLEST_FILE = 4096
"""Bytes that any file takes on a disk."""


def require_free(paths: Sequence[Path], *, overwrite: bool) -> Sequence[Path]:
    """The paths that are about to be written, if nothing stands there.

    Raises:
        UsageError: a file exists and may not be replaced.
    """
    taken = [path for path in paths if path.exists()]
    if taken and not overwrite:
        raise UsageError(f"{', '.join(map(str, taken))} exists already", hint="choose another place, or replace it with --overwrite")
    return paths


def require_writable(folder: Path) -> None:
    """Refuse a folder in which no file can be made; one that is missing must be possible in the nearest that is there.

    Raises:
        CmirnetError: it may not be written to.
    """
    nearest = _nearest(folder)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise CmirnetError(f"cannot write to {folder}", hint="check the folder's permissions, or choose another one")


def require_room(folder: Path, needed: int) -> None:
    """Refuse a disk that has not even room for the least that will be written, in bytes.

    Raises:
        CmirnetError: it has not that much room.
    """
    free = shutil.disk_usage(_nearest(folder)).free
    if free < needed:
        raise CmirnetError(
            f"only {free / 1e6:,.1f} MB free for {folder}; at least {needed / 1e6:,.1f} MB are needed",
            hint="free some space, or choose another disk",
        )


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def picture_format(path: Path) -> str:
    """The picture format that the suffix of `path` names.

    Raises:
        UsageError: it names none.
    """
    form = Image.registered_extensions().get(path.suffix.lower())
    if form not in Image.SAVE:
        raise UsageError(f"cannot write a picture as {path.name}: {path.suffix or 'no suffix'} names no picture format", hint="use .png")
    return form


def write_image(path: Path, image: Image.Image, *, wait: bool = True) -> None:
    """Write a picture in the format that the suffix of `path` names, whole or not at all; `wait` as for `durable.new_file`.

    Raises:
        UsageError: as for `picture_format`.
        CmirnetError: as for `write_bytes`.
    """
    encoded = io.BytesIO()
    image.save(encoded, picture_format(path), quality=92)
    write_bytes(path, encoded.getvalue(), wait=wait)
