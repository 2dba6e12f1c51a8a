"""The data set that a user names: one of the published ones, one of their own in REFER layout, or a JSONL file."""

from __future__ import annotations

from pathlib import Path

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
        annotations: where to look for annotations instead.
        images: where to look for photographs instead.

    Raises:
        UsageError: the name or the split_by is not legal.
        AnnotationError: files are missing, broken or contradictory.
    """
    if name.endswith(".jsonl"):
        return read_jsonl(Path(name))
    return read_dataset(find_layout(name, choose_split_by(name, split_by), data_root, annotations, images))
