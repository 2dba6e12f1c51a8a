"""The data set that a user names: one of the published ones, three of them combined, one of their own in REFER layout, or a JSONL file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cmirnet_cli.errors import UsageError
from cmirnet_cli.refer.archives import Archive, find_archives
from cmirnet_cli.refer.combined import NAME, PARTS, combine
from cmirnet_cli.refer.jsonl import read_jsonl
from cmirnet_cli.refer.layout import USUAL_PLACES, Places, find_layout
from cmirnet_cli.refer.reader import read_dataset
from cmirnet_cli.refer.referent import ReferDataset
from cmirnet_cli.refer.registry import choose_split_by


def read_source(name: str, split_by: str | None = None, places: Places = USUAL_PLACES) -> ReferDataset:
    """Read the referents of a data set.

    Args:
        name: a data set's name, or the path of a `.jsonl` file.
        split_by: the name of its division into splits; None takes the data set's usual one.
        places: where to look; for `combined`, `annotations` is the folder that its data sets' folders lie in.

    Raises:
        UsageError: the name or the split_by is not legal, or says nothing about a JSONL file.
        AnnotationError: files are missing, broken or contradictory.
    """
    if name.endswith(".jsonl"):
        _refuse_what_a_jsonl_says_itself(name, {"--split-by": split_by, "--annotations": places.annotations, "--images": places.images})
        return read_jsonl(Path(name))
    datasets = [read_dataset(find_layout(*part)) for part in _parts(name, split_by, places)]
    return combine(datasets) if name == NAME else datasets[0]


def packed(name: str, split_by: str | None = None, places: Places = USUAL_PLACES) -> Iterator[Archive]:
    """The archives to unpack before `read_source`. Unpack each before you ask for the next: what is missing may have been in it.

    Raises:
        UsageError: as `read_source`.
    """
    if not name.endswith(".jsonl"):
        for part in _parts(name, split_by, places):
            yield from find_archives(*part)


def _parts(name: str, split_by: str | None, places: Places) -> list[tuple[str, str, Places]]:
    """The data sets in REFER layout that are read for `name`, with their split_by and where they lie."""
    chosen = choose_split_by(name, split_by)
    return [(part, by, places.of_part(part)) for part, by in PARTS] if name == NAME else [(name, chosen, places)]


def _refuse_what_a_jsonl_says_itself(name: str, options: Mapping[str, object]) -> None:
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise UsageError(
            f"{' and '.join(given)} cannot be used with {name}",
            hint="each line of a JSONL file names its image, seen from the file's own folder, and its split",
        )
