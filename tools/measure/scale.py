"""What reading, preparing, opening and loading a data set of RefCOCO's size take, each step in a process of its own.

    python -m tools.measure.scale

The processes import this module, so that what is heavy is imported where it is used: it would count as the memory of every step.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from cmirnet_cli.cache.estimate import estimate
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.config import Settings, resolve
from cmirnet_cli.console import console
from cmirnet_cli.engine.environment import MIB, in_fresh_process, machine, machine_in_words, peak_memory_mib
from cmirnet_cli.options import network_size
from cmirnet_cli.refer.layout import Places
from cmirnet_cli.refer.registry import published_counts
from cmirnet_cli.refer.sources import read_source
from cmirnet_cli.scenes import Amount, write_scenes

DATASET, SPLIT_BY, SPLIT = "scenes", "scale", "train"
WORKERS = [0]
_KIB = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of `ru_maxrss`."""

_RUN = """
import sys
from cmirnet_cli.app import run
from cmirnet_cli.engine.environment import peak_memory_mib
code = run(sys.argv[1:])
print(peak_memory_mib())
sys.exit(code)
"""


@dataclass(frozen=True)
class Reading:
    """Reading the annotations: counts, seconds, the cache's estimated bytes, peak memory."""

    images: int
    refs: int
    sentences: int
    seconds: float
    estimate: int
    memory_mib: float


@dataclass(frozen=True)
class Preparing:
    """`cmirnet prepare-data`, end to end, with so many workers; the bytes and files that it wrote."""

    workers: int
    seconds: float
    memory_mib: float
    bytes: int
    files: int


@dataclass(frozen=True)
class Pass:
    """Loading every sample once.

    Attributes:
        shuffled: whether the samples came in an epoch's order, else in that of the annotations.
        workers: processes that loaded beside the main one.
        first_batch_seconds: from opening the cache to the first batch.
        samples_per_second: over all batches after the first.
        memory_mib: the most that the main process held, libraries included.
        worker_memory_mib: the most that one of the workers held, what it shares with the main process included.
    """

    shuffled: bool
    workers: int
    first_batch_seconds: float
    samples_per_second: float
    memory_mib: float
    worker_memory_mib: float


def main(
    fraction: Annotated[
        float, typer.Option("--fraction", min=0.001, metavar="X", help="RefCOCO's size times that; 50: a million images.")
    ] = 1.0,
    size: Annotated[int, network_size("--size", "Network size of the cache, a multiple of 32.")] = 96,
    picture: Annotated[int, typer.Option("--picture", min=32, metavar="PX", help="Width and height of the drawn pictures.")] = 128,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Keep it all here; else it is removed.")] = None,
    workers: Annotated[list[int], typer.Option("--workers", min=0, metavar="N", help="Of prepare-data; can be repeated.")] = WORKERS,
) -> None:
    """Draw a data set of RefCOCO's size, or a part of it, and measure reading, preparing, opening and loading it."""
    with nullcontext(out) if out else TemporaryDirectory(prefix="cmirnet-measure-") as place:
        folder = Path(place)
        amounts = {
            split: part_of(counts.known, fraction) for split, counts in published_counts("refcoco", "unc").items() if split != "total"
        }
        console.notice(f"drawing scenes into {folder}")
        write_scenes(folder, dataset=DATASET, split_by=SPLIT_BY, images=amounts, size=picture)
        reading = in_fresh_process(read, folder, size)
        cache = folder / "cache" / f"{DATASET}-{SPLIT_BY}"
        preparing = []
        for count in workers:
            shutil.rmtree(cache, ignore_errors=True)
            preparing.append(prepare(folder, size, count, cache))
        passes = []
        for shuffled in (False, True):
            for count in (0, 2):
                settings = resolve(flags={"data.image_size": size, "data.resize": size, "data.workers": count})
                passes.append(in_fresh_process(load, cache, settings, shuffled))
        _show(reading, preparing, passes)


def part_of(counts: Sequence[int], fraction: float) -> Amount:
    """A part of a split that has these referents, images and sentences."""
    refs, images, sentences = (max(1, round(fraction * count)) for count in counts)
    return Amount(images, refs, sentences)


def read(folder: Path, size: int) -> Reading:
    """Read and index the annotations, then estimate the cache; to be called in a fresh process."""
    started = time.perf_counter()
    dataset = read_source(DATASET, SPLIT_BY, Places(folder))
    seconds = time.perf_counter() - started
    sentences = sum(len(referent.sentences) for referent in dataset.referents)
    cache_bytes, memory = estimate(dataset, CacheOptions(sizes=(size,))), peak_memory_mib()
    return Reading(len(dataset.images), len(dataset.referents), sentences, seconds, cache_bytes, memory)


def prepare(folder: Path, size: int, workers: int, cache: Path) -> Preparing:
    """Run the command in a process of its own, which says at its end what memory it held."""
    words = f"prepare-data {DATASET} --split-by {SPLIT_BY} --size {size} --workers {workers} --quiet".split()
    started = time.perf_counter()
    command = [sys.executable, "-c", _RUN, *words, "--data", str(folder), "--out", str(folder / "cache")]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, written = time.perf_counter() - started, [path.stat().st_size for path in cache.iterdir()]
    return Preparing(workers, seconds, float(ended.stdout.split()[-1]), sum(written), len(written))


def load(folder: Path, settings: Settings, shuffled: bool) -> Pass:
    """Load every sample of a prepared cache once; to be called in a fresh process, whose memory is then that of the pass."""
    import torch
    from torch.utils.data import DataLoader

    from cmirnet_cli.batches.datasets import TrainingSet, training_batches
    from cmirnet_cli.benchmarks.data import choose_collate, one_thread

    collate = choose_collate(None, Cache.open(folder), SPLIT, settings.text.tokens)
    workers, batch_size = settings.data.workers, settings.loop.batch_size
    with one_thread():
        started = time.perf_counter()
        samples = TrainingSet(Cache.open(folder), SPLIT, settings.data, seed=settings.loop.seed, epoch=0)
        loader: DataLoader[Any]
        if shuffled:
            loader = training_batches(samples, collate, batch_size)
        else:
            loader = DataLoader(samples, batch_size, collate_fn=collate, num_workers=workers, drop_last=True, generator=torch.Generator())
        batches = iter(loader)
        next(batches)
        first = time.perf_counter()
        deque(batches, maxlen=0)
        ended = time.perf_counter()
    del batches  # its workers end
    rate = (len(loader) - 1) * batch_size / (ended - first)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _KIB / MIB
    return Pass(shuffled, workers, first - started, rate, peak_memory_mib(), children if workers else 0.0)


def _show(reading: Reading, preparing: Sequence[Preparing], passes: Sequence[Pass]) -> None:
    written = preparing[-1]
    steps = [
        ("read and index the annotations", f"{reading.seconds:.1f} s", f"{reading.memory_mib:,.0f} MiB"),
        *(
            (f"prepare-data, end to end, workers: {each.workers}", f"{each.seconds:.1f} s", f"{each.memory_mib:,.0f} MiB")
            for each in preparing
        ),
    ]
    rows = [
        (
            "shuffled" if each.shuffled else "sequential",
            each.workers,
            f"{each.first_batch_seconds:.2f}",
            f"{each.samples_per_second:,.0f}",
            f"{each.memory_mib:,.0f}",
            f"{each.worker_memory_mib:,.0f}",
        )
        for each in passes
    ]
    columns = ["order", "workers", "first batch s", "samples/s", "MiB", "MiB of a worker"]
    console.result(
        {
            "reading": asdict(reading),
            "preparing": [asdict(each) for each in preparing],
            "loading": [asdict(each) for each in passes],
            "machine": machine(),
        },
        f"{reading.images:,} images, {reading.refs:,} referents, {reading.sentences:,} sentences",
        console.table("preparing", ["step", "time", "peak memory"], steps),
        f"cache: {written.files:,} files, {written.bytes / MIB:,.1f} MiB; estimated before: {reading.estimate / MIB:,.1f} MiB "
        f"({reading.estimate / written.bytes - 1:+.1%})",
        console.table(f"loading {SPLIT}", columns, rows),
        machine_in_words(),
    )


if __name__ == "__main__":
    typer.run(main)
