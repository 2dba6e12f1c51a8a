"""Which data sets lie below a folder: looked for, not read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cmirnet_cli.findings import Finding, examined
from cmirnet_cli.refer.archives import find_archives
from cmirnet_cli.refer.combined import NAME as COMBINED
from cmirnet_cli.refer.layout import REFS, Places, find_layout, find_photographs, find_refs, refs_in
from cmirnet_cli.refer.registry import SPLITS


def data_findings(data_root: Path) -> Iterator[Finding]:
    """What is there of every known data set, and of one's own in REFER layout; what is missing altogether is one finding."""
    known = [(name, by) for name, divisions in SPLITS.items() if name != COMBINED for by in divisions]
    places = Places(data_root)
    there = [pair for pair in known if find_refs(*pair, places)]
    packed = {pair: files for pair in known if (files := _packed(*pair, places, needs_annotations=pair not in there))}
    for name, by in [*there, *(pair for pair in _own(data_root) if pair not in known)]:
        if (name, by) not in packed:
            yield from examined(f"{name} ({by})", _found, name, by, places)
    for (name, by), files in packed.items():
        yield Finding("note", f"{name} ({by})", f"{files} not unpacked yet", f"to unpack: cmirnet prepare-data {name} --split-by {by}")
    missing = [f"{name} ({by})" for name, by in known if (name, by) not in [*there, *packed]]
    if missing:
        advice = "for the places that are looked at, and what is missing there: cmirnet prepare-data NAME --split-by BY"
        yield Finding("note", str(data_root), f"no annotations of {', '.join(missing)}", advice)


def _packed(name: str, split_by: str, places: Places, *, needs_annotations: bool) -> str:
    """The archives that will be unpacked for a data set, if any; photographs alone are none of a data set's."""
    archives = find_archives(name, split_by, places)
    if needs_annotations and not any(archive.kind == "annotations" for archive in archives):
        return ""
    return " and ".join(str(archive.file) for archive in archives)


def _own(data_root: Path) -> list[tuple[str, str]]:
    """Name and split_by of all that has a refs file in a folder of its own."""
    names = [(folder.name, REFS.fullmatch(file.name)) for folder in sorted(data_root.glob("*")) for file in refs_in(folder)]
    return list(dict.fromkeys((folder, name["split_by"]) for folder, name in names if name))


def _found(dataset: str, split_by: str, places: Places) -> Iterator[Finding]:
    """One data set whose refs are there. Raises what `find_layout` does where something else is missing."""
    subject, layout = f"{dataset} ({split_by})", find_layout(dataset, split_by, places)
    photographs = find_photographs(dataset, layout.image_folders)
    if photographs is None:
        looked_in = ", ".join(map(str, layout.image_folders))
        message = f"annotations in {layout.refs.parent}, but no photographs in {looked_in}"
        yield Finding("warning", subject, message, "put the photographs there, or say where they are with --images DIR")
    else:
        yield Finding("ok", subject, f"annotations in {layout.refs.parent}, photographs in {photographs}")
