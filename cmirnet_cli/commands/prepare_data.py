"""`cmirnet prepare-data`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from cmirnet_cli.commands.cache import count_rows
from cmirnet_cli.console import console
from cmirnet_cli.errors import counted
from cmirnet_cli.images import OverlapRule
from cmirnet_cli.options import Overwrite, SplitBy, Workers

DatasetName: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="NAME|PATH",
        help="refcoco, refcoco+, refcocog, refclef, grefcoco, rrsisd, combined, a name of your own, a file or folder of annotations, or "
        "hf://datasets/ORG/NAME.",
        show_default=False,
    ),
]


def prepare_data(
    dataset: DatasetName,
    split_by: SplitBy = None,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of the data sets.")] = Path("data"),
    annotations: Annotated[Path | None, typer.Option("--annotations", metavar="DIR", help="Folder of refs(…).p.")] = None,
    images: Annotated[Path | None, typer.Option("--images", metavar="DIR", help="Folder of the photographs.")] = None,
    format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="Annotation format; by default recognised from the content.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="FIELD|category", help="Field or attribute that holds the expression.")
    ] = None,
    val_share: Annotated[
        float, typer.Option("--val-share", metavar="SHARE", help="Share of the images that becomes val if the files name no splits.")
    ] = 0.1,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for caches.")] = Path("cache"),
    recipe: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="PRESET|BACKBONE", help="Prepare the sizes that this recipe needs; can be repeated."),
    ] = None,
    size: Annotated[
        list[int] | None, typer.Option("--size", min=1, metavar="PX", help="Network size; can be repeated; 480 by default.")
    ] = None,
    store: Annotated[Literal["decoded", "encoded"], typer.Option("--store", help="Store pixels, ready to use, or the files.")] = "decoded",
    overlap: Annotated[OverlapRule, typer.Option("--overlap", help="How to treat pixels that two polygons of one object share.")] = "paper",
    upright: Annotated[
        bool | None,
        typer.Option(
            "--upright/--no-upright",
            help="Your outlines were drawn on photographs as people see them, or as stored.",
            show_default=False,
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out images that are missing or broken, and records that cannot be read.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Treat every mask that looks wrong as an error.")] = False,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Read annotations and images, check them, and write the cache that training reads.

    Example: cmirnet prepare-data refcocog --split-by umd --for swin-b
    """
    from cmirnet_cli.cache.audit import audit_warnings
    from cmirnet_cli.cache.counts import count_warnings, described_counts
    from cmirnet_cli.cache.prepare import PrepareRequest, prepare
    from cmirnet_cli.cache.schema import CacheOptions
    from cmirnet_cli.refer.own import ReadOptions
    from cmirnet_cli.refer.registry import legal_splits
    from cmirnet_cli.reports.tables import count_table

    options = CacheOptions(store=store, sizes=_sizes(size or [], recipe or []) or CacheOptions.sizes, overlap=overlap)
    reading = ReadOptions(text, val_share=val_share, upright=upright)
    where = (dataset, split_by, data, annotations, images, reading, format, out)
    request = PrepareRequest(*where, options, skip_bad=skip_bad, strict=strict, workers=workers or 0, overwrite=overwrite)
    cache = prepare(request, progress=console.progress, notice=console.notice, warn=console.warn)
    manifest = cache.manifest
    for warning in (*audit_warnings(manifest.audit or ()), *count_warnings(manifest)):
        console.warn(warning)
    for each in cache.shared:
        are = "is" if each.shared == 1 else "are"
        said = f"{each.shared:,} of {counted(each.images, 'photograph')} of {each.split} {are} in train, too, such as {each.example.name}"
        if legal_splits(manifest.dataset, manifest.split_by):
            console.notice(f"{said}: this division is published so")
        else:
            console.warn(f"{said}: its scores will be too high; give all sentences about a photograph the same split")
    described = {
        "cache": cache.folder,
        "dataset": manifest.dataset,
        "split_by": manifest.split_by,
        "splits": described_counts(manifest),
        "skipped": [str(image.path) for image in cache.skipped],
        "left_out": cache.left_out,
        "scaled": [{"image": path, "low": low, "high": high} for path, (low, high) in cache.scaled.items()],
        "shared_with_train": [asdict(each) for each in cache.shared],
        "audit": None if manifest.audit is None else [asdict(each) for each in manifest.audit],
    }
    console.result(described, count_table(count_rows(manifest)), f"cache: {cache.folder}")


def _sizes(named: Sequence[int], recipes: Sequence[str]) -> tuple[int, ...]:
    """The sizes that were named, and those that the recipes need besides."""
    from cmirnet_cli.config import named_recipe

    needed = sorted({size for recipe in recipes for size in named_recipe(recipe).data.sizes} - {*named})
    return (*named, *needed)
