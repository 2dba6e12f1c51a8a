"""The table of data sets: their splits, beside the published counts."""

from __future__ import annotations

from collections.abc import Iterator

from cmirnet_cli.refer.registry import SPLITS, published_counts

_HEAD = """# Data sets

This page lists every data set with each `--split-by` (the first one is the default), its splits, and their published counts.
`prepare-data` prints its own counts beside these numbers and warns of a difference. A `?` marks a number that is often quoted but that we
did not find in a primary source. An empty cell means that we found no number. `make reference` writes this page from the code.

| data set | split by | split | referents | images | sentences |
|---|---|---|---|---|---|
"""


def data_sets_page() -> str:
    """docs/data_sets.md."""
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in _rows())


def _rows() -> Iterator[list[str]]:
    for dataset, divisions in SPLITS.items():
        for split_by, splits in divisions.items():
            published = published_counts(dataset, split_by)
            for split in splits:
                row, counts = [f"`{dataset}`", split_by, split], published.get(split)
                for name in ("refs", "images", "sentences"):
                    number = getattr(counts, name, None)
                    doubt = "?" if counts and name in counts.unconfirmed else ""
                    row.append("" if number is None else f"{number:,}{doubt}")
                yield row
