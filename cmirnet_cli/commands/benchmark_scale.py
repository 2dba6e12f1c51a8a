"""`cmirnet benchmark scale`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmirnet_cli.commands.own_command import announced, require_success
from cmirnet_cli.console import console
from cmirnet_cli.options import Workers, network_size

if TYPE_CHECKING:
    from cmirnet_cli.benchmarks.scale import Pass
    from cmirnet_cli.engine.environment import Finished
    from cmirnet_cli.refer.registry import PublishedCounts
    from cmirnet_cli.scenes import Amount

DATASET, SPLIT_BY, SPLIT = "scenes", "scale", "train"
PICTURE = 128
MIB = 1 << 20


@dataclass(frozen=True)
class Reading:
    """What reading the annotations came to: counts, seconds, the cache's estimated bytes, peak memory."""

    images: int
    refs: int
    sentences: int
    seconds: float
    estimate: int
    memory_mib: float


def scale(
    fraction: Annotated[float, typer.Option("--fraction", min=0.001, max=1, metavar="X", help="How much of RefCOCO's size.")] = 1.0,
    size: Annotated[int, network_size("--size", "Network size of the cache, a multiple of 32.")] = 96,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Keep it all here; else it is removed.")] = None,
    workers: Workers = None,
) -> None:
    """Draw a data set of RefCOCO's size and measure reading, preparing, opening and loading it.

    The data set has as many images, referents and sentences as RefCOCO (unc), in small pictures. Every step runs in a process of its
    own, whose peak memory is measured with it.

    Example: cmirnet benchmark scale
    """
    from cmirnet_cli.engine.environment import in_fresh_process, run_command

    with _place(out) as folder:
        drawn = _draw(Path(folder), fraction)
        reading = in_fresh_process(read, Path(folder), size)
        words = _prepare_command(Path(folder), size, workers or 0)
        prepared = run_command(announced(words))
        require_success(words, prepared.code)
        cache = Path(folder, "cache", f"{DATASET}-{SPLIT_BY}")
        passes = [_measure_pass(cache, size, count, shuffled) for shuffled in (False, True) for count in (0, 2)]
        _show(drawn, reading, prepared, cache, passes)


def read(folder: Path, size: int) -> Reading:
    """Read and index the annotations, then estimate the cache; public so that another process can find it."""
    from cmirnet_cli.cache.schema import CacheOptions
    from cmirnet_cli.cache.writer import estimate
    from cmirnet_cli.engine.environment import peak_memory_mib
    from cmirnet_cli.refer.layout import Places
    from cmirnet_cli.refer.sources import read_source

    started = time.perf_counter()
    dataset = read_source(DATASET, SPLIT_BY, Places(folder))
    seconds = time.perf_counter() - started
    sentences = sum(len(referent.sentences) for referent in dataset.referents)
    memory = peak_memory_mib()
    return Reading(len(dataset.images), len(dataset.referents), sentences, seconds, estimate(dataset, CacheOptions(sizes=(size,))), memory)


def draw(folder: Path, amounts: Mapping[str, Amount]) -> float:
    """Draw the data set; the seconds it took. Public so that another process can find it."""
    from cmirnet_cli.scenes import write_scenes

    started = time.perf_counter()
    write_scenes(folder, dataset=DATASET, split_by=SPLIT_BY, images=amounts, size=PICTURE)
    return time.perf_counter() - started


def _place(out: Path | None) -> AbstractContextManager[str | Path]:
    from tempfile import TemporaryDirectory

    return nullcontext(out) if out else TemporaryDirectory(prefix="cmirnet-scale-")


def _draw(folder: Path, fraction: float) -> float:
    from cmirnet_cli.engine.environment import in_fresh_process

    amounts = _amounts(fraction)
    images, refs, sentences = (sum(getattr(amount, what) for amount in amounts.values()) for what in ("images", "refs", "sentences"))
    console.notice(f"drawing {images:,} images with {refs:,} referents and {sentences:,} sentences into {folder}")
    return in_fresh_process(draw, folder, amounts)


def _amounts(fraction: float) -> dict[str, Amount]:
    """What RefCOCO's splits are published to hold, or a part of it."""
    from cmirnet_cli.refer.registry import published_counts

    return {split: _part(counts, fraction) for split, counts in published_counts("refcoco", "unc").items() if split != "total"}


def _part(whole: PublishedCounts, fraction: float) -> Amount:
    from cmirnet_cli.scenes import Amount

    refs, images, sentences = (max(1, round(fraction * count)) for count in whole.known)
    return Amount(images, refs, sentences)


def _prepare_command(folder: Path, size: int, workers: int) -> list[str]:
    words = f"prepare-data {DATASET} --split-by {SPLIT_BY} --size {size} --workers {workers}"
    return [*words.split(), "--data", str(folder), "--out", str(folder / "cache")]


def _measure_pass(cache: Path, size: int, workers: int, shuffled: bool) -> Pass:
    from cmirnet_cli.benchmarks.scale import measure_pass
    from cmirnet_cli.config import resolve
    from cmirnet_cli.engine.environment import in_fresh_process

    console.notice(f"loading every sample of {SPLIT} once, {_order(shuffled)}, {workers} workers")
    settings = resolve(flags={"data.image_size": size, "data.resize": size, "data.workers": workers})
    return in_fresh_process(measure_pass, cache, SPLIT, settings, shuffled)


def _show(drawn: float, reading: Reading, prepared: Finished, cache: Path, passes: Sequence[Pass]) -> None:
    from cmirnet_cli.engine.environment import machine, machine_in_words

    size = sum(path.stat().st_size for path in cache.iterdir())
    steps = [
        ("read and index the annotations", f"{reading.seconds:.1f} s", f"{reading.memory_mib:,.0f} MiB"),
        ("prepare-data, end to end", f"{prepared.seconds:.1f} s", f"{prepared.memory_mib:,.0f} MiB"),
    ]
    console.result(
        {
            "drawn_seconds": drawn,
            "reading": asdict(reading),
            "preparing": asdict(prepared),
            "cache_bytes": size,
            "loading": [asdict(each) for each in passes],
            "machine": machine(),
        },
        f"{reading.images:,} images, {reading.refs:,} referents, {reading.sentences:,} sentences",
        console.table("preparing", ["step", "time", "peak memory"], steps),
        f"cache: {size / MIB:,.1f} MiB; estimated before: {reading.estimate / MIB:,.1f} MiB ({reading.estimate / size - 1:+.1%})",
        console.table(f"loading {SPLIT}", ["order", "workers", "first batch s", "samples/s", "MiB", "MiB of a worker"], map(_row, passes)),
        machine_in_words(),
    )


def _row(each: Pass) -> list[str]:
    order, memory = _order(each.shuffled), (each.memory_mib, each.worker_memory_mib)
    return [
        order,
        str(each.workers),
        f"{each.first_batch_seconds:.2f}",
        f"{each.samples_per_second:,.0f}",
        *(f"{mib:,.0f}" for mib in memory),
    ]


def _order(shuffled: bool) -> str:
    return "shuffled" if shuffled else "sequential"
