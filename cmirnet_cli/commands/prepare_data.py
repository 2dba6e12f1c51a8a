"""`cmirnet prepare-data`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from cmirnet_cli.commands.counts import count_rows
from cmirnet_cli.console import console
from cmirnet_cli.options import Overwrite, SplitBy, Workers
from cmirnet_cli.refer.referent import Overlap

if TYPE_CHECKING:
    from cmirnet_cli.cache.schema import CacheOptions, Manifest, SplitCounts
    from cmirnet_cli.refer.archives import Archive
    from cmirnet_cli.refer.referent import ReferDataset
    from cmirnet_cli.refer.registry import PublishedCounts

MIB = 1 << 20
TOTAL = "total"

DatasetName: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="refcoco, refcoco+, refcocog, refclef, grefcoco, rrsisd, combined, a name of one's own, or a .jsonl file.",
        show_default=False,
    ),
]


def prepare_data(
    dataset: DatasetName,
    split_by: SplitBy = None,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder that data sets lie in.")] = Path("data"),
    annotations: Annotated[Path | None, typer.Option("--annotations", metavar="DIR", help="Folder of refs(…).p.")] = None,
    images: Annotated[Path | None, typer.Option("--images", metavar="DIR", help="Folder of the photographs.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for caches.")] = Path("cache"),
    size: Annotated[list[int] | None, typer.Option("--size", metavar="PX", help="Network size, can be repeated; 480 by default.")] = None,
    store: Annotated[Literal["decoded", "encoded"], typer.Option("--store", help="Pixels ready to use, or the files.")] = "decoded",
    overlap: Annotated[Overlap, typer.Option("--overlap", help="Where two polygons of one object overlap.")] = "paper",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave missing and broken images out.")] = False,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Read annotations and images, check them, and write the cache that training reads.

    Example: cmirnet prepare-data refcocog --split-by umd
    """
    from cmirnet_cli.cache.schema import CacheOptions
    from cmirnet_cli.refer.sources import packed, read_source
    from cmirnet_cli.reports.tables import count_table

    for archive in packed(dataset, split_by, data, annotations, images):
        _unpack(archive)
    referents = read_source(dataset, split_by, data, annotations, images)
    for remark in referents.remarks:
        console.notice(remark)
    options = CacheOptions(store=store, sizes=tuple(size or [480]), overlap=overlap)
    folder = out / f"{referents.name}-{referents.split_by}"
    manifest, skipped = _write(referents, folder, options, workers or 0, skip_bad=skip_bad, overwrite=overwrite)
    for difference in _differences(manifest):
        console.warn(difference)
    console.result(_described(manifest, folder, skipped), count_table(count_rows(manifest)), f"cache: {folder}")


def _unpack(archive: Archive) -> None:
    from cmirnet_cli.refer.archives import unpack

    console.notice(f"unpacking {archive.file} into {archive.target}")
    with console.progress(f"unpack {archive.file.name}", len(archive.members)) as advance:
        unpack(archive, advance)


def _write(
    referents: ReferDataset, folder: Path, options: CacheOptions, workers: int, *, skip_bad: bool, overwrite: bool
) -> tuple[Manifest, list[str]]:
    """Check every image, then write; the manifest and what was left out."""
    from cmirnet_cli.cache.writer import estimate, find_bad_images, require_good_images, steps, write_cache

    with console.progress("check images", len(referents.images)) as advance:
        bad = find_bad_images(referents, workers, advance)
    skip = require_good_images(bad, skip=skip_bad)
    for image in bad:
        console.warn(f"left out: {image.path}: {image.reason}")
    console.notice(f"{folder} will take about {math.ceil(estimate(referents, options, skip) / MIB):,} MiB")
    with console.progress("write cache", steps(referents, skip)) as advance:
        manifest = write_cache(
            referents, folder, options, workers=workers, skip=skip, overwrite=overwrite, advance=advance, notice=console.notice
        )
    return manifest, [str(image.path) for image in bad]


def _differences(manifest: Manifest) -> Iterator[str]:
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


def _described(manifest: Manifest, folder: Path, skipped: list[str]) -> dict[str, object]:
    from cmirnet_cli.refer.registry import published_counts

    published = published_counts(manifest.dataset, manifest.split_by)
    splits = {
        split: asdict(counts) | {"published": asdict(published[split]) if split in published else None}
        for split, counts in manifest.counts.items()
    }
    return {"cache": folder, "dataset": manifest.dataset, "split_by": manifest.split_by, "splits": splits, "skipped": skipped}
