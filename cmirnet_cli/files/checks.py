"""What is refused before anything is written: a name that is taken, a folder without permission, a disk without room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

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


def require_room(
    folder: Path, size: int, failure: type[CmirnetError] = CmirnetError, hint: str = "free some space, or choose another disk"
) -> None:
    """Refuse to begin what would not fit on a disk.

    Args:
        folder: where it will be, or the folder that will be made there.
        size: in bytes, the least that will be written.
        failure: class of the error.
        hint: what to do about it.

    Raises:
        CmirnetError: of the class `failure`: there is not that much room.
    """
    if (free := shutil.disk_usage(_nearest(folder)).free) < size:
        needed = f"at least {size / 1e6:,.1f} MB are needed and {free / 1e6:,.1f} MB are free"
        raise failure(f"No space left on device for {folder}: {needed}", hint=hint)


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
