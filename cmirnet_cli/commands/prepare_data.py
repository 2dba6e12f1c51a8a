"""`cmirnet prepare-data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import Overwrite, SplitBy, Workers

if TYPE_CHECKING:
    from rich.table import Table

    from cmirnet_cli.cache.schema import CacheOptions, Manifest
    from cmirnet_cli.refer.referent import ReferDataset

MIB = 1 << 20

DatasetName: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="DATASET", help="refcoco, refcoco+, refcocog, …, a name of one's own, or a .jsonl file.", show_default=False),
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
    overlap: Annotated[Literal["paper", "union"], typer.Option("--overlap", help="Where two polygons of one object overlap.")] = "paper",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave missing and broken images out.")] = False,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Read annotations and images, check them, and write the cache that training reads.

    Example: cmirnet prepare-data refcocog --split-by umd
    """
    from cmirnet_cli.cache.schema import CacheOptions
    from cmirnet_cli.refer.sources import read_source

    referents = read_source(dataset, split_by, data, annotations, images)
    options = CacheOptions(store=store, sizes=tuple(size or [480]), overlap=overlap)
    folder = out / f"{referents.name}-{referents.split_by}"
    manifest, skipped = _write(referents, folder, options, workers or 0, skip_bad=skip_bad, overwrite=overwrite)
    console.result(_described(manifest, folder, skipped), _counts(manifest), f"cache: {folder}")


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
    console.notice(f"{folder} will take about {estimate(referents, options, skip) / MIB:,.0f} MiB")
    with console.progress("write cache", steps(referents, skip)) as advance:
        manifest = write_cache(
            referents, folder, options, workers=workers, skip=skip, overwrite=overwrite, advance=advance, notice=console.notice
        )
    return manifest, [str(image.path) for image in bad]


def _counts(manifest: Manifest) -> Table:
    """Counts per split beside the published ones; a difference is worth a warning, no more."""
    from cmirnet_cli.refer.registry import published_counts
    from cmirnet_cli.reports.tables import Counted, CountRow, count_table

    published = published_counts(manifest.dataset, manifest.split_by)
    rows = []
    for split, counts in manifest.counts.items():
        found = Counted(counts.refs, counts.images, counts.sentences)
        known = published.get(split)
        rows.append(CountRow(split, found, Counted(known.refs, known.images, known.sentences) if known else None))
    for row in rows:
        if row.agrees is False:
            console.warn(f"the counts of {row.split} differ from the published ones")
    return count_table(rows)


def _described(manifest: Manifest, folder: Path, skipped: list[str]) -> dict[str, object]:
    splits = {split: {"refs": c.refs, "images": c.images, "sentences": c.sentences} for split, c in manifest.counts.items()}
    return {"cache": folder, "dataset": manifest.dataset, "split_by": manifest.split_by, "splits": splits, "skipped": skipped}
