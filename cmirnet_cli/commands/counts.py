"""How much a cache's splits hold, beside what was published about them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cmirnet_cli.cache.schema import Manifest
    from cmirnet_cli.reports.tables import CountRow


def count_rows(manifest: Manifest) -> list[CountRow]:
    """One row for each split of a cache."""
    from cmirnet_cli.refer.registry import published_counts
    from cmirnet_cli.reports.tables import Counted, CountRow

    published = published_counts(manifest.dataset, manifest.split_by)
    rows = []
    for split, counts in manifest.counts.items():
        known = published.get(split)
        theirs = Counted(known.refs, known.images, known.sentences) if known else None
        rows.append(CountRow(split, Counted(counts.refs, counts.images, counts.sentences), theirs))
    return rows


def described_counts(manifest: Manifest) -> dict[str, object]:
    """Split → its counts, with those that were `published` (None where nothing is known), for `--json`."""
    from cmirnet_cli.refer.registry import published_counts

    published = published_counts(manifest.dataset, manifest.split_by)
    return {
        split: asdict(counts) | {"published": asdict(published[split]) if split in published else None}
        for split, counts in manifest.counts.items()
    }
