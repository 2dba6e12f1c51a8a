"""Before the first mask is written: whether the folder may be used, holds what fits to this run, and has the room."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmirnet_cli.durable import sweep, write_text
from cmirnet_cli.errors import DataError, UsageError
from cmirnet_cli.reports.files import require_free
from cmirnet_cli.reports.predictions.folder import KINDS
from cmirnet_cli.reports.predictions.gallery import GALLERY
from cmirnet_cli.reports.predictions.index import index_files, readable_keys
from cmirnet_cli.reports.predictions.names import mask_name

SETTINGS = "settings.json"
COCO = "coco"
"""Under which name the settings hold the path of the run's COCO file, as seen from the folder."""


def begin(
    folder: Path,
    settings: Mapping[str, object],
    coco: Path | None = None,
    *,
    gallery: bool = False,
    skip_existing: bool,
    overwrite: bool,
) -> None:
    """Make the folder, or take it over from an earlier run.

    Args:
        folder: where predictions go.
        settings: all that masks depend on besides photo and expression.
        coco: the COCO file that will be written.
        gallery: whether the page will be.
        skip_existing: whether an earlier run is continued.
        overwrite: whether its results may be replaced; they are removed.

    Raises:
        UsageError: it holds predictions already, or such that were made with other settings, or files that are not the earlier run's.
        DataError: an earlier run's settings cannot be read.
        CmirnetError: nothing can be written there.
    """
    earlier = index_files(folder)
    if earlier and not (overwrite or skip_existing):
        hint = "go on where it ended with --skip-existing, replace it with --overwrite, or choose another folder with --out"
        raise UsageError(f"{folder} holds predictions already ({earlier[0].name})", hint=hint)
    own = _continued(folder, settings) if skip_existing else []
    beside = [folder / name for name in (SETTINGS, *([GALLERY] if gallery else [])) if name not in own]
    if coco and os.path.relpath(coco, folder) not in own:
        beside.append(coco)
    require_free(beside, overwrite=overwrite)
    if earlier and overwrite:
        _remove(folder)
    described = {**settings, **({COCO: os.path.relpath(coco, folder)} if coco else {})}
    write_text(folder / SETTINGS, json.dumps(described, indent=2) + "\n")


def sweep_all(folder: Path) -> None:
    """Remove what killed processes left unfinished anywhere in the folder."""
    for directory, _, _ in os.walk(folder):
        sweep(Path(directory))


def _remove(folder: Path) -> None:
    """Take away what an earlier run wrote; its index last, so that a removal that was broken off can be repeated."""
    names = [mask_name(Path(image), expression) for image, expression in readable_keys(folder)]
    for file in [*(folder / kind / name for kind in KINDS for name in names), folder / GALLERY, *index_files(folder)]:
        file.unlink(missing_ok=True)


def _continued(folder: Path, settings: Mapping[str, object]) -> list[str]:
    """What an earlier run with the same settings wrote beside its masks, as seen from the folder; nothing where there was none."""
    file = folder / SETTINGS
    if not file.exists() and not index_files(folder):
        return []
    earlier = _read(file)
    changed = [f"{name} was {earlier.get(name)}, now {value}" for name, value in settings.items() if earlier.get(name) != value]
    if changed:
        raise UsageError(
            f"{folder} already holds predictions made with other settings: {', '.join(changed)}",
            hint="repeat the earlier settings, or choose another folder with --out",
        )
    return [SETTINGS, GALLERY, *([earlier[COCO]] if COCO in earlier else [])]


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"cannot read the settings of the earlier run in {file}: {error}", hint="start anew with --overwrite") from error
