"""The table of data sets: what may be asked for, beside the published counts."""

from __future__ import annotations

from collections.abc import Iterator

from cmirnet_cli.refer.registry import SPLITS, PublishedCounts, published_counts

_HEAD = """# Data sets

This page is drawn from the code by `make reference`: every data set with each `--split-by` (the first one is taken where none is given),
its splits, and the counts that were published for them. `prepare-data` prints what it finds beside these numbers; a difference is a warning
that gives both. A `?` marks a number that is generally quoted and was not found in a primary source; where a place is empty, none was
found.

| data set | split by | split | referents | images | sentences |
|---|---|---|---|---|---|
"""
_UNKNOWN = PublishedCounts(None, None, None, ())


def data_sets_page() -> str:
    """docs/data_sets.md."""
    return _HEAD + "".join(_rows())


def _rows() -> Iterator[str]:
    for dataset, divisions in SPLITS.items():
        for split_by, splits in divisions.items():
            known = published_counts(dataset, split_by)
            for split in splits:
                numbers = " | ".join(_numbers(known.get(split, _UNKNOWN)))
                yield f"| `{dataset}` | {split_by} | {split} | {numbers} |\n"


def _numbers(known: PublishedCounts) -> Iterator[str]:
    for what in ("refs", "images", "sentences"):
        value, doubt = getattr(known, what), "?" if what in known.unconfirmed else ""
        yield "" if value is None else f"{value:,}{doubt}"
