"""The data set that a user names: one of the published ones, three of them combined, one of their own in REFER layout, or a JSONL file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cmirnet_cli.errors import UsageError
from cmirnet_cli.refer.archives import Archive, find_archives
from cmirnet_cli.refer.combined import NAME, PARTS, combine
from cmirnet_cli.refer.jsonl import read_jsonl
from cmirnet_cli.refer.layout import find_layout
from cmirnet_cli.refer.reader import read_dataset
from cmirnet_cli.refer.referent import ReferDataset
from cmirnet_cli.refer.registry import choose_split_by


def read_source(
    name: str, split_by: str | None = None, data_root: Path = Path("data"), annotations: Path | None = None, images: Path | None = None
) -> ReferDataset:
    """Read the referents of a data set.

    Args:
        name: a data set's name, or the path of a `.jsonl` file.
        split_by: who split it; None takes the data set's usual one.
        data_root: the folder that data sets lie in.
        annotations: where to look for annotations instead; for `combined`, the folder that its data sets' folders lie in.
        images: where to look for photographs instead.

    Raises:
        UsageError: the name or the split_by is not legal, or says nothing about a JSONL file.
        AnnotationError: files are missing, broken or contradictory.
    """
    if name.endswith(".jsonl"):
        _refuse_what_a_jsonl_says_itself(name, {"--split-by": split_by, "--annotations": annotations, "--images": images})
        return read_jsonl(Path(name))
    chosen = choose_split_by(name, split_by)
    if name != NAME:
        return read_dataset(find_layout(name, chosen, data_root, annotations, images))
    homes = [annotations / part if annotations else None for part, _ in PARTS]
    return combine([read_dataset(find_layout(*part, data_root, home, images)) for part, home in zip(PARTS, homes, strict=True)])


def packed(
    name: str, split_by: str | None = None, data_root: Path = Path("data"), annotations: Path | None = None, images: Path | None = None
) -> Iterator[Archive]:
    """The archives that `read_source` needs unpacked, each found when those before it are.

    Raises:
        UsageError: as `read_source`.
    """
    if not name.endswith(".jsonl"):
        chosen = choose_split_by(name, split_by)
        for part, by in PARTS if name == NAME else [(name, chosen)]:
            home = annotations / part if annotations and name == NAME else annotations
            yield from find_archives(part, by, data_root, home, images)


def _refuse_what_a_jsonl_says_itself(name: str, options: Mapping[str, object]) -> None:
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise UsageError(
            f"{' and '.join(given)} cannot be used with {name}",
            hint="each line of a JSONL file names its image, seen from the file's own folder, and its split",
        )
