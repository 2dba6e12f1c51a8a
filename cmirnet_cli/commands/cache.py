"""How much a cache's splits hold, beside what was published about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import CacheError
from cmirnet_cli.options import Overwrite, Split

if TYPE_CHECKING:
    from cmirnet_cli.cache.features import FeaturesManifest
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.cache.schema import Manifest, SplitCounts
    from cmirnet_cli.refer.registry import PublishedCounts
    from cmirnet_cli.reports.cache_page import CacheSummary, Marks, Selection, ShownReferent
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


Folder: TypeAlias = Annotated[Path, typer.Argument(metavar="CACHE", help="A cache, or a folder that holds one.", show_default=False)]

MIB = 1 << 20


def info(cache: Folder) -> None:
    """Show what a cache holds: splits beside the published counts, sizes, fingerprint, text features.

    Example: cmirnet cache info cache/refcocog-umd
    """
    from cmirnet_cli.cache.features import all_features
    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.reports.tables import count_table

    folder = find_cache(cache)
    manifest, features = Cache.open(folder).manifest, all_features(folder)
    facts = [("cache", str(folder)), *_facts(manifest).items(), *(("features", _in_words(each)) for each in features)]
    lines = [f"{label:<11}  {value}" for label, value in facts]
    described = {**_described(folder, manifest), "text_features": [{"name": each.name, **asdict(each.facts)} for each in features]}
    console.result(described, count_table(count_rows(manifest), title=_title(manifest)), *lines)


def verify(cache: Folder) -> int:
    """Read every file of a cache again and compare it with the digest it was written with.

    Example: cmirnet cache verify cache/refcocog-umd
    """
    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import files_of
    from cmirnet_cli.cache.reader import verify as verify_files

    folder = find_cache(cache)
    files = len(files_of(folder))
    with console.progress("verify", files) as advance:
        damages = verify_files(folder, advance)
    lines = [f"{damage.name}: {damage.reason}" for damage in damages] or [f"{folder}: all {files} files are as they were written"]
    console.result({"cache": folder, "files": files, "damaged": [asdict(damage) for damage in damages]}, *lines)
    return CacheError.exit_code if damages else 0


def show(
    cache: Folder,
    split: Split = "val",
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="The page; by default CACHE-SPLIT.html here.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Referents to show at most.")] = 60,
    overwrite: Overwrite = False,
) -> None:
    """Draw referents with their masks and sentences on one page, to see at a glance whether the data are right.

    Masks that are empty, tiny or lost at a prepared size get up to a third of the places; the others are spread evenly over the split.

    Example: cmirnet cache show cache/refcocog-umd --split val --out page.html
    """
    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.files import require_free, write_text
    from cmirnet_cli.reports.cache_page import Selection, cache_page

    data = Cache.open(find_cache(cache))
    rows = _rows(data, split)
    (page,) = require_free([out or _default_page(data, split)], overwrite=overwrite)
    selection = Selection.of(_inspect(data, rows), limit)
    write_text(page, cache_page(_summary(data, split, selection), _referents(data, rows, selection)))
    _report(page, data, rows, selection)


def _title(manifest: Manifest) -> str:
    return f"{manifest.dataset} ({manifest.split_by})"


def _facts(manifest: Manifest) -> dict[str, str]:
    """Label → value: all that tells two caches of one data set apart."""
    options, shards = manifest.options, len(manifest.shards)
    sizes = ", ".join(map(str, options.sizes))
    return {
        "store": f"{options.store}, {sizes} px",
        "on disk": f"{_bytes(manifest) / MIB:,.1f} MiB, images in {shards} {'shard' if shards == 1 else 'shards'}",
        "overlap": options.overlap,
        "left out": f"{len(manifest.fingerprint.skipped):,} unreadable images",
        "fingerprint": manifest.fingerprint.key,
    }


def _in_words(features: FeaturesManifest) -> str:
    facts = features.facts
    return f"{features.name}: {facts.origin.tokens} tokens × {facts.width}, {facts.dtype}, {features.size / MIB:,.1f} MiB, {facts.source}"


def _described(folder: Path, manifest: Manifest) -> dict[str, object]:
    return {
        "dataset": manifest.dataset,
        "split_by": manifest.split_by,
        "splits": described_counts(manifest),
        "cache": folder,
        "bytes": _bytes(manifest),
        "shards": len(manifest.shards),
        "fingerprint": manifest.fingerprint.key,
        "options": asdict(manifest.options),
        "skipped": manifest.fingerprint.skipped,
        "decoder": manifest.fingerprint.decoder,
    }


def _bytes(manifest: Manifest) -> int:
    return sum(file.size for file in manifest.files)


def _rows(cache: Cache, split: str) -> list[int]:
    """Rows of the referents of a split, or of all splits, in the order of the annotation file."""
    return sorted({row for name in (cache.splits if split == "all" else [split]) for row in cache.referents(name).tolist()})


def _default_page(cache: Cache, split: str) -> Path:
    return Path(re.sub(r"[^\w+.-]+", "-", f"{cache.folder.name}-{split}") + ".html")


def _inspect(cache: Cache, rows: Sequence[int]) -> list[Marks]:
    """The marks of each referent."""
    found = []
    with console.progress("inspect masks", len(rows)) as advance:
        for row in rows:
            found.append(_marks(cache, row))
            advance()
    return found


def _marks(cache: Cache, row: int) -> Marks:
    from cmirnet_cli.reports.cache_page import marks_of

    referent = cache.referent(row)
    prepared = {size: cache.mask(row, size) > 0 for size in cache.manifest.options.sizes}
    return marks_of(cache.mask(row, None) > 0, prepared, referent.category, [sentence.text for sentence in referent.sentences])


def _referents(cache: Cache, rows: Sequence[int], selection: Selection) -> Iterator[ShownReferent]:
    """The chosen referents: the image as the largest network gets it, the mask at the image's own size."""
    from cmirnet_cli.reports.cache_page import ShownReferent

    with console.progress("draw", len(selection.chosen)) as advance:
        for place in selection.chosen:
            referent = cache.referent(rows[place])
            yield ShownReferent(
                ref_id=referent.ref_id,
                image_id=referent.image_id,
                split=referent.split,
                category=referent.category,
                sentences=tuple(sentence.text for sentence in referent.sentences),
                image=cache.image(referent.image_row, max(cache.manifest.options.sizes)),
                mask=cache.mask(rows[place], None) > 0,
                marks=selection.marks[place],
            )
            advance()


def _summary(cache: Cache, split: str, selection: Selection) -> CacheSummary:
    from cmirnet_cli.reports.cache_page import CacheSummary

    manifest = cache.manifest
    facts = {"shown": selection.shown_in_words, "worth a look": selection.marks_in_words, **_facts(manifest)}
    return CacheSummary(_title(manifest), split, facts, count_rows(manifest))


def _report(page: Path, cache: Cache, rows: Sequence[int], selection: Selection) -> None:
    size = page.stat().st_size
    result = {
        "page": page,
        "bytes": size,
        "referents": len(rows),
        "shown": _ref_ids(cache, rows, selection.chosen),
        "marks": {mark: _ref_ids(cache, rows, places) for mark, places in selection.by_mark.items()},
    }
    console.result(result, f"{page}: {selection.shown_in_words} ({size / MIB:.1f} MiB)", f"worth a look: {selection.marks_in_words}")


def _ref_ids(cache: Cache, rows: Sequence[int], places: Sequence[int]) -> list[int]:
    return [cache.referent(rows[place]).ref_id for place in places]
