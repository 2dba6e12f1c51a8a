"""`cmirnet cache`: info, verify, show."""

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
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.cache.schema import Manifest
    from cmirnet_cli.reports.cache_page import Selection, ShownReferent
    from cmirnet_cli.reports.tables import CountRow

Folder: TypeAlias = Annotated[Path, typer.Argument(metavar="CACHE", help="A cache, or a folder that holds one.", show_default=False)]

MIB = 1 << 20


def info(cache: Folder) -> None:
    """Show what a cache holds: splits beside the published counts, odd masks, sizes, fingerprint, text features.

    Example: cmirnet cache info cache/refcocog-umd
    """
    from cmirnet_cli.cache.audit import KINDS
    from cmirnet_cli.cache.counts import described_counts
    from cmirnet_cli.cache.features import all_features
    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.reports.tables import OddMasks, count_table, odd_masks_table

    folder = find_cache(cache)
    manifest, features = Cache.open(folder).manifest, all_features(folder)
    described = {
        "dataset": manifest.dataset,
        "split_by": manifest.split_by,
        "splits": described_counts(manifest),
        "cache": folder,
        "bytes": _size(manifest),
        "shards": len(manifest.shards),
        "fingerprint": manifest.fingerprint.key,
        "options": asdict(manifest.options),
        "skipped": manifest.fingerprint.skipped,
        "decoder": manifest.fingerprint.decoder,
        "audit": None if manifest.audit is None else [asdict(each) for each in manifest.audit],
        "text_features": [{"name": each.name, **asdict(each.facts)} for each in features],
    }
    lines = [f"{label:<11}  {value}" for label, value in {"cache": str(folder), **_metadata(manifest)}.items()]
    for each in features:
        facts = each.facts
        shape = f"{facts.origin.tokens} tokens × {facts.width}, {facts.dtype}, {each.size / MIB:,.1f} MiB"
        lines.append(f"{'features':<11}  {each.name}: {shape}, {facts.source}")
    odd = [OddMasks(each.split, KINDS[each.kind].name, each.count, each.masks, each.examples) for each in manifest.audit or ()]
    tables = [count_table(count_rows(manifest), title=_title(manifest)), *([odd_masks_table(odd)] if odd else [])]
    console.result(described, *tables, *lines)


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
    from cmirnet_cli.files import write_text
    from cmirnet_cli.files.checks import require_free
    from cmirnet_cli.reports.cache_page import CacheSummary, cache_page

    data = Cache.open(find_cache(cache))
    rows = sorted({row for name in (data.splits if split == "all" else [split]) for row in data.referent_rows(name).tolist()})
    default = Path(re.sub(r"[^\w+.-]+", "-", f"{data.folder.name}-{split}") + ".html")
    (page,) = require_free([out or default], overwrite=overwrite)
    selection = _select(data, rows, limit)
    metadata = {"shown": selection.shown_in_words, "worth a look": selection.marks_in_words, **_metadata(data.manifest)}
    summary = CacheSummary(_title(data.manifest), split, metadata, count_rows(data.manifest))
    write_text(page, cache_page(summary, _shown(data, rows, selection)))

    def ref_ids(places: Sequence[int]) -> list[int]:
        return [data.referent(rows[place]).ref_id for place in places]

    size = page.stat().st_size
    console.result(
        {
            "page": page,
            "bytes": size,
            "referents": len(rows),
            "shown": ref_ids(selection.places),
            "marks": {mark: ref_ids(places) for mark, places in selection.by_mark.items()},
        },
        f"{page}: {selection.shown_in_words} ({size / MIB:.1f} MiB)",
        f"worth a look: {selection.marks_in_words}",
    )


def count_rows(manifest: Manifest) -> list[CountRow]:
    """One row for each split of a cache, for a table of counts."""
    from cmirnet_cli.cache.counts import compared_counts
    from cmirnet_cli.reports.tables import Counted, CountRow

    rows = []
    for each in compared_counts(manifest):
        counts, published = each.counts, each.published
        theirs = Counted(published.refs, published.images, published.sentences) if published else None
        rows.append(CountRow(each.split, Counted(counts.refs, counts.images, counts.sentences), theirs))
    return rows


def _title(manifest: Manifest) -> str:
    return f"{manifest.dataset} ({manifest.split_by})"


def _metadata(manifest: Manifest) -> dict[str, str]:
    """Label → value: all that tells two caches of one data set apart."""
    options, shards = manifest.options, len(manifest.shards)
    return {
        "store": f"{options.store}, {', '.join(map(str, options.sizes))} px",
        "on disk": f"{_size(manifest) / MIB:,.1f} MiB, images in {shards} {'shard' if shards == 1 else 'shards'}",
        "overlap": options.overlap,
        "left out": f"{len(manifest.fingerprint.skipped):,} unreadable images",
        "odd masks": "not looked for" if manifest.audit is None else f"{sum(each.count for each in manifest.audit):,}",
        "fingerprint": manifest.fingerprint.key,
    }


def _size(manifest: Manifest) -> int:
    return sum(file.size for file in manifest.files)


def _select(cache: Cache, rows: Sequence[int], limit: int) -> Selection:
    """Look at the masks and sentences of all referents of these rows, and choose at most `limit` of them."""
    from cmirnet_cli.reports.cache_page import Selection, marks_of

    marks = []
    with console.progress("inspect masks", len(rows)) as advance:
        for row in rows:
            referent = cache.referent(row)
            prepared = {size: cache.mask(row, size) > 0 for size in cache.manifest.options.sizes}
            sentences = [sentence.text for sentence in referent.sentences]
            marks.append(marks_of(cache.mask(row, None) > 0, prepared, cache.refers_to_nothing(row), sentences))
            advance()
    return Selection.of(marks, limit)


def _shown(cache: Cache, rows: Sequence[int], selection: Selection) -> Iterator[ShownReferent]:
    """The chosen referents: the image as the largest network gets it, the mask at the image's own size."""
    from cmirnet_cli.reports.cache_page import ShownReferent

    with console.progress("draw", len(selection.places)) as advance:
        for place in selection.places:
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
