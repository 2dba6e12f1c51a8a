"""`cmirnet benchmark data`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import BatchSize, CacheDir, Dataset, SplitBy, Workers, network_size

if TYPE_CHECKING:
    from cmirnet_cli.benchmarks.data import LoadingComparison, LoadingSource
    from cmirnet_cli.benchmarks.timing import Timing

STATE = "files in the page cache"


def data(
    cache: CacheDir = None,
    dataset: Dataset = None,
    split_by: SplitBy = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Split to load.")] = "train",
    data_root: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder of the original data sets; data by default.")
    ] = None,
    annotations: Annotated[Path | None, typer.Option("--annotations", metavar="DIR|JSONL", help="The original annotations.")] = None,
    images: Annotated[Path | None, typer.Option("--images", metavar="DIR", help="Folder of the original photographs.")] = None,
    size: Annotated[int | None, network_size("--size", "Network size; by default 480, or the largest prepared.")] = None,
    tokenizer: Annotated[str | None, typer.Option("--tokenizer", metavar="DIR|ID", help="By default, the words of the data.")] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, metavar="N", help="Samples to load in each round.")] = 512,
    rounds: Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="How often each way is timed.")] = 5,
    batch_size: BatchSize = None,
    workers: Workers = None,
) -> None:
    """Load the same training samples in the plain way and from the cache, compare every value, and time both.

    The plain way opens each photograph, decodes and resizes it, draws its outlines and tokenises its sentence, one sample at a time.
    Without --cache or --dataset it draws its own data set in the temporary folder and prepares both stores from it.

    Example: cmirnet benchmark data
    """
    drawn = cache is None and dataset is None
    if drawn and any((split_by, data_root, annotations, images)):
        raise UsageError("--split-by, --data, --annotations and --images say where a cache came from", hint="add --cache or --dataset")
    if not drawn:
        from cmirnet_cli.cache.folder import find_cache, read_manifest, require_prepared_for

        folder = find_cache(cache or Path("cache"), dataset, split_by)
        require_prepared_for(folder, read_manifest(folder), splits=[split], sizes=[size] if size else [])

    from cmirnet_cli.benchmarks.data import LoadingOptions, compare_loading, drawn_source, prepared_source
    from cmirnet_cli.config import DataConfig
    from cmirnet_cli.refer.layout import Places

    options = LoadingOptions(split, samples, rounds, size, batch_size, workers or 0, tokenizer)
    source: AbstractContextManager[LoadingSource]
    if drawn:
        source = drawn_source(size or DataConfig().image_size, samples, console.progress)
    else:
        places = Places(data_root or Path("data"), annotations, images)
        source = nullcontext(prepared_source(cache or Path("cache"), dataset, split_by, places))
    with source as both:
        _show(split, compare_loading(both, options, console.progress))


def _show(split: str, comparison: LoadingComparison) -> None:
    from cmirnet_cli.engine.environment import machine, machine_in_words

    manifest, data, timings = comparison.manifest, comparison.data, comparison.timings
    origin = {"dataset": manifest.dataset, "split_by": manifest.split_by, "split": split, "fingerprint": manifest.fingerprint.key}
    columns = ["way", "ms a sample", "from", "to", "samples/s", "× plain", "from", "to", "× plain, normalised"]
    ways = {name: _described(timing, timings) for name, timing in timings.items()}
    console.result(
        {
            "data": origin,
            "samples": comparison.samples,
            "batch_size": comparison.batch_size,
            "size": data.image_size,
            "workers": data.workers,
            "state": STATE,
            "identical": True,
            "machine": machine(),
            "ways": ways,
        },
        console.table("loading", columns, [_row(name, way) for name, way in ways.items()]),
        f"{comparison.samples:,} samples in batches of {comparison.batch_size} at {data.image_size} px, {data.workers} workers, {STATE}",
        "identical: every pixel, mask, token and attention mask",
        "normalised: every sample on the CPU, as the published loader does; from a cache a whole batch is normalised on the device",
        machine_in_words(),
    )


def _described(timing: Timing, timings: Mapping[str, Timing]) -> dict[str, Any]:
    from cmirnet_cli.benchmarks.data import NORMALISED, PLAIN

    return {
        "ms_per_sample": asdict(timing.milliseconds),
        "samples_per_second": timing.per_second,
        "times_faster_than": {name: asdict(timing.times_faster_than(timings[name])) for name in (PLAIN, NORMALISED)},
        "seconds": timing.seconds,
    }


def _row(name: str, way: dict[str, Any]) -> list[str]:
    took, (plain, normalised) = way["ms_per_sample"], way["times_faster_than"].values()
    return [
        name,
        *(f"{took[key]:.2f}" for key in ("median", "lowest", "highest")),
        f"{way['samples_per_second']:,.0f}",
        *(f"{plain[key]:.1f}" for key in ("median", "lowest", "highest")),
        f"{normalised['median']:.1f}",
    ]
