"""How much a cache's splits hold, beside what was published about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cmirnet_cli.cache.schema import Manifest, SplitCounts
    from cmirnet_cli.refer.registry import PublishedCounts
    from cmirnet_cli.reports.tables import CountRow

TOTAL = "total"


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


def differences(manifest: Manifest) -> Iterator[str]:
    """One sentence for each split that is empty or whose counts are not the published ones: worth a warning, no more."""
    from cmirnet_cli.cache.schema import SplitCounts
    from cmirnet_cli.refer.registry import legal_splits, published_counts

    published = published_counts(manifest.dataset, manifest.split_by)
    counts = dict.fromkeys(legal_splits(manifest.dataset, manifest.split_by), SplitCounts(0, 0, 0)) | manifest.counts
    for split, found in (counts | {TOTAL: _total(manifest)}).items():
        if split in published and (wrong := _wrong_counts(found, published[split])):
            yield f"the counts of {split} differ from the published ones: {', '.join(wrong)}"
        elif not found.refs:
            yield f"{split} is empty"


def _total(manifest: Manifest) -> SplitCounts:
    """The whole; of refclef by unc, whose test splits overlap, no total is published."""
    from cmirnet_cli.cache.schema import SplitCounts

    refs, sentences = (sum(getattr(counts, what) for counts in manifest.counts.values()) for what in ("refs", "sentences"))
    return SplitCounts(refs, sum(shard.images for shard in manifest.shards), sentences)


def _wrong_counts(found: SplitCounts, known: PublishedCounts) -> list[str]:
    """Such as "3 refs instead of 5,000", where both numbers are known."""
    pairs = [(what, ours, getattr(known, what)) for what, ours in asdict(found).items()]
    remark = {what: " (a number that is not confirmed)" for what in known.unconfirmed}
    return [
        f"{ours:,} {what} instead of {theirs:,}{remark.get(what, '')}"
        for what, ours, theirs in pairs
        if theirs is not None and ours != theirs
    ]
