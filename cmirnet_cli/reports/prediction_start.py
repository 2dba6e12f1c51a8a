"""Before the first mask is written: whether the folder may be used, holds what fits to this run, and has the room."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from cmirnet_cli.durable import sweep, write_text
from cmirnet_cli.errors import UsageError
from cmirnet_cli.reports.prediction_index import index_files

SETTINGS = "settings.json"


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
