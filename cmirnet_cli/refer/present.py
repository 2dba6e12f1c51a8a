"""Which data sets lie below a folder: looked for, not read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cmirnet_cli.findings import Finding, examined
from cmirnet_cli.refer.archives import ANNOTATIONS, find_archives
from cmirnet_cli.refer.combined import NAME as COMBINED
from cmirnet_cli.refer.images import holds_pictures
from cmirnet_cli.refer.layout import Layout, find_layout, has_annotations
from cmirnet_cli.refer.registry import SPLITS

_REFS_NAME = re.compile(r"g?refs\((.+)\)\.(p|json)")


def data_findings(data_root: Path) -> Iterator[Finding]:
    """What is there of every known data set, and of one's own in REFER layout; what is missing altogether is one finding."""
    known = [(name, by) for name, divisions in SPLITS.items() if name != COMBINED for by in divisions]
    there = [pair for pair in known if has_annotations(*pair, data_root)]
    packed = {pair: files for pair in known if (files := _packed(*pair, data_root, needs_annotations=pair not in there))}
    for name, by in [*there, *(pair for pair in _own(data_root) if pair not in known)]:
        if (name, by) not in packed:
            yield from examined(f"{name} ({by})", _found, name, by, data_root)
    for (name, by), files in packed.items():
        yield Finding("note", f"{name} ({by})", f"{files} not unpacked yet", f"to unpack: cmirnet prepare-data {name} --split-by {by}")
    missing = [f"{name} ({by})" for name, by in known if (name, by) not in [*there, *packed]]
    if missing:
        advice = "for the places that are looked at, and what is missing there: cmirnet prepare-data NAME --split-by BY"
        yield Finding("note", str(data_root), f"no annotations of {', '.join(missing)}", advice)


def _packed(name: str, split_by: str, data_root: Path, *, needs_annotations: bool) -> str:
    """The archives that will be unpacked for a data set, if any; photographs alone are none of a data set's."""
    archives = find_archives(name, split_by, data_root)
    if needs_annotations and not any(archive.wanted is ANNOTATIONS for archive in archives):
        return ""
    return " and ".join(str(archive.file) for archive in archives)


def _own(data_root: Path) -> list[tuple[str, str]]:
    """Name and split_by of all that has a refs file in a folder of its own."""
    files = sorted(data_root.glob("*/*refs(*).*"))
    return [(file.parent.name, name[1]) for file in files if (name := _REFS_NAME.fullmatch(file.name))]


def _found(dataset: str, split_by: str, data_root: Path) -> Iterator[Finding]:
    """One data set whose refs are there. Raises what `find_layout` does where something else is missing."""
    subject, layout = f"{dataset} ({split_by})", find_layout(dataset, split_by, data_root)
    photographs = _photographs(layout)
    if photographs is None:
        places = ", ".join(map(str, layout.image_folders))
        message = f"annotations in {layout.refs.parent}, but no photographs in {places}"
        yield Finding("warning", subject, message, "put the photographs there, or say where they are with --images DIR")
    else:
        yield Finding("ok", subject, f"annotations in {layout.refs.parent}, photographs in {photographs}")


def _photographs(layout: Layout) -> Path | None:
    """The first folder that holds some."""
    return next((folder for folder in layout.image_folders if any(map(holds_pictures, _places(folder)))), None)


def _places(folder: Path) -> Iterator[Path]:
    """Where the pictures of a folder lie: in it, in one for each split, or as refclef nests them."""
    yield folder
    yield from filter(Path.is_dir, (*folder.glob("*"), *folder.glob("*/images")))
