"""Before the first mask is written: whether the folder may be used, holds what fits to this run, and has the room."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from cmirnet_cli.durable import sweep, write_text
from cmirnet_cli.errors import CmirnetError, UsageError
from cmirnet_cli.reports.prediction_index import index_files

SETTINGS = "settings.json"

SMALLEST_FILE = 4096
"""Bytes that any file takes on a disk."""


def begin(folder: Path, settings: Mapping[str, object], *, skip_existing: bool, overwrite: bool) -> None:
    """Make the folder, or take it over from an earlier run.

    Args:
        folder: where predictions go.
        settings: all that masks depend on besides photo and expression.
        skip_existing: whether an earlier run is continued.
        overwrite: whether its results may be replaced.

    Raises:
        UsageError: it holds predictions already, or such that were made with other settings.
        CmirnetError: nothing can be written there.
    """
    earlier = index_files(folder)
    if earlier and overwrite:
        for file in earlier:
            file.unlink()
    elif earlier and skip_existing:
        _require_same(folder / SETTINGS, settings)
    elif earlier:
        hint = "go on where it ended with --skip-existing, replace it with --overwrite, or choose another folder with --out"
        raise UsageError(f"{folder} holds predictions already ({earlier[0].name})", hint=hint)
    write_text(folder / SETTINGS, json.dumps(settings, indent=2) + "\n")


def require_room(folder: Path, files: int) -> None:
    """Refuse a disk that is too full even for the smallest files.

    Raises:
        CmirnetError: it has not that much room.
    """
    needed, free = files * SMALLEST_FILE, shutil.disk_usage(folder).free
    if free < needed:
        raise CmirnetError(
            f"{folder} has room for {free / 1e6:,.1f} MB; {files:,} files need {needed / 1e6:,.1f} MB at the very least",
            hint="free some space, or choose another disk with --out",
        )


def require_writable(folder: Path) -> None:
    """Refuse a folder in which no file can be made; one that is missing must be possible in the nearest that is there.

    Raises:
        CmirnetError: it may not be written to.
    """
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise CmirnetError(f"cannot write to {folder}", hint="check the folder's permissions, or choose another one")


def sweep_all(folder: Path) -> None:
    """Remove what killed processes left unfinished anywhere in the folder."""
    for directory, _, _ in os.walk(folder):
        sweep(Path(directory))


def _require_same(file: Path, settings: Mapping[str, object]) -> None:
    earlier = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    changed = [f"{name} was {earlier.get(name)} and is now {value}" for name, value in settings.items() if earlier.get(name) != value]
    if changed:
        raise UsageError(
            f"{file.parent} holds predictions that were made otherwise: {', '.join(changed)}",
            hint="go on with what they were made with, or choose another folder with --out",
        )
