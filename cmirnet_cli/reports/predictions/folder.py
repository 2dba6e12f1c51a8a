"""A folder of predictions: beginning one, going on with an earlier run's, and clearing it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from cmirnet_cli.errors import DataError, UsageError
from cmirnet_cli.files import sweep, write_text
from cmirnet_cli.files.checks import require_free
from cmirnet_cli.reports.predictions.chunk_files import FORMAT, remove_chunks
from cmirnet_cli.reports.predictions.index import index_files, readable_keys
from cmirnet_cli.reports.predictions.names import mask_name
from cmirnet_cli.storage.place import Place

MASKS, OVERLAYS, CUTOUTS, PROBABILITIES = KINDS = "masks", "overlays", "cutouts", "probabilities"
"""The folders of pictures, by what these show."""
GALLERY = "gallery.html"
SETTINGS = "settings.json"
COCO = "coco"
"""The key under which the settings hold the path of the run's COCO file, relative to the folder."""


def require_unused(folder: Path, coco: Path | None, *, gallery: bool, skip_existing: bool, overwrite: bool) -> None:
    """Refuse a folder that `begin_folder` will refuse, as far as that can be seen without the settings; arguments and errors are its own.

    Raises:
        UsageError: the folder holds predictions already.
    """
    earlier = index_files(folder)
    if earlier and not (overwrite or skip_existing):
        raise in_use(folder, earlier[0].name)
    if not skip_existing:
        beside = [folder / name for name in (SETTINGS, *([GALLERY] if gallery else []))]
        require_free([*beside, *([coco] if coco else [])], overwrite=overwrite)


def begin_folder(
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
        UsageError: it holds predictions already, some that were made with other settings, or files that are not the earlier run's.
        DataError: an earlier run's settings cannot be read.
        CmirnetError: nothing can be written there.
    """
    earlier = index_files(folder)
    require_unused(folder, coco, gallery=gallery, skip_existing=skip_existing, overwrite=overwrite)
    own = _continued(folder, settings) if skip_existing else []
    beside = [folder / name for name in (SETTINGS, *([GALLERY] if gallery else [])) if name not in own]
    if coco and os.path.relpath(coco, folder) not in own:
        beside.append(coco)
    require_free(beside, overwrite=overwrite)
    if earlier and overwrite:
        remove_predictions(folder)
    if overwrite:
        place = Place(str(folder))
        remove_chunks(place, place.read(SETTINGS))
    described = {**settings, **({COCO: os.path.relpath(coco, folder)} if coco else {})}
    write_text(folder / SETTINGS, json.dumps(described, indent=2) + "\n")


def sweep_all(folder: Path) -> None:
    """Remove what killed processes left unfinished in the folder and in its folders of pictures; elsewhere in it others may write."""
    own = chain([str(folder)], (directory for kind in KINDS for directory, _, _ in os.walk(folder / kind)))
    for directory in own:
        sweep(Path(directory), files_only=True)


def remove_predictions(folder: Path) -> None:
    """Remove what an earlier run wrote; its index last, so that an interrupted removal can be repeated."""
    names = [mask_name(Path(image), expression) for image, expression in readable_keys(folder)]
    for file in [*(folder / kind / name for kind in KINDS for name in names), folder / GALLERY, *index_files(folder)]:
        file.unlink(missing_ok=True)


def _continued(folder: Path, settings: Mapping[str, object]) -> list[str]:
    """What an earlier run with the same settings wrote beside its masks, as seen from the folder; nothing if there was none."""
    file = folder / SETTINGS
    if not file.exists() and not index_files(folder):
        return []
    earlier = _read(file)
    changed = [f"{name} was {earlier.get(name)}, now {value}" for name, value in settings.items() if earlier.get(name) != value]
    if FORMAT in earlier:
        changed.append("it was written in chunks")
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
        raise unreadable_settings(file, error) from error


def in_use(folder: object, file: str) -> UsageError:
    """The error that a folder holds predictions, such as a file of that name."""
    hint = "continue it with --skip-existing, replace it with --overwrite, or choose another folder with --out"
    return UsageError(f"{folder} holds predictions already ({file})", hint=hint)


def unreadable_settings(file: object, error: Exception) -> DataError:
    """The error that the settings of an earlier run cannot be read."""
    return DataError(f"cannot read the settings of the earlier run in {file}: {error}", hint="start again with --overwrite")
