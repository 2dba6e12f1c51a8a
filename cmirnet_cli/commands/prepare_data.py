"""`cmirnet prepare-data`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from cmirnet_cli.commands.cache import count_rows
from cmirnet_cli.console import console
from cmirnet_cli.images import OverlapRule
from cmirnet_cli.options import Overwrite, SplitBy, Workers

if TYPE_CHECKING:
    from cmirnet_cli.cache.schema import CacheOptions, Manifest
    from cmirnet_cli.refer.archives import Archive
    from cmirnet_cli.refer.referent import ReferDataset

MIB = 1 << 20

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
    overlap: Annotated[OverlapRule, typer.Option("--overlap", help="Where two polygons of one object overlap.")] = "paper",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave missing and broken images out.")] = False,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Read annotations and images, check them, and write the cache that training reads.

    Example: cmirnet prepare-data refcocog --split-by umd
    """
    from cmirnet_cli.cache.counts import count_warnings, described_counts
    from cmirnet_cli.cache.schema import CacheOptions, cache_name
    from cmirnet_cli.refer.layout import Places
    from cmirnet_cli.refer.sources import packed, read_source
    from cmirnet_cli.reports.tables import count_table

    places = Places(data, annotations, images)
    for archive in packed(dataset, split_by, places):
        _unpack(archive)
    referents = read_source(dataset, split_by, places)
    for remark in referents.remarks:
        console.notice(remark)
    options = CacheOptions(store=store, sizes=tuple(size or CacheOptions.sizes), overlap=overlap)
    folder = out / cache_name(referents.name, referents.split_by)
    manifest, skipped = _write(referents, folder, options, workers or 0, skip_bad=skip_bad, overwrite=overwrite)
    for warning in count_warnings(manifest):
        console.warn(warning)
    described = {
        "cache": folder,
        "dataset": manifest.dataset,
        "split_by": manifest.split_by,
        "splits": described_counts(manifest),
        "skipped": skipped,
    }
    console.result(described, count_table(count_rows(manifest)), f"cache: {folder}")


def _unpack(archive: Archive) -> None:
    from cmirnet_cli.refer.archives import unpack

    console.notice(f"unpacking {archive.file} into {archive.target}")
    members = archive.read_members()
    with console.progress(f"unpack {archive.file.name}", len(members)) as advance:
        unpack(archive, members, advance)


def _write(
    referents: ReferDataset, folder: Path, options: CacheOptions, workers: int, *, skip_bad: bool, overwrite: bool
) -> tuple[Manifest, list[str]]:
    """Check every image, then write; the manifest and what was left out."""
    from cmirnet_cli.cache.check_images import check_images, require_good_images
    from cmirnet_cli.cache.writer import estimate, steps, without, write_cache

    with console.progress("check images", len(referents.images)) as advance:
        bad = check_images(referents, workers, advance)
    skipped = require_good_images(bad, skip=skip_bad)
    kept = without(referents, skipped)
    for image in bad:
        console.warn(f"left out: {image.path}: {image.reason}")
    console.notice(f"{folder} will take about {math.ceil(estimate(kept, options) / MIB):,} MiB")
    with console.progress("write cache", steps(kept)) as advance:
        manifest = write_cache(
            kept, folder, options, workers=workers, skipped=skipped, overwrite=overwrite, advance=advance, notice=console.notice
        )
    return manifest, [str(image.path) for image in bad]
