"""`cmirnet benchmark data`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import BatchSize, CacheDir, Dataset, SplitBy, Workers, network_size

if TYPE_CHECKING:
    from cmirnet_cli.benchmarks.data import Course
    from cmirnet_cli.benchmarks.plain_loading import Original
    from cmirnet_cli.benchmarks.timing import Timing
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.cache.schema import Store
    from cmirnet_cli.config import Settings
    from cmirnet_cli.refer.referent import ReferDataset, Referent, Sentence

DRAWN_SIZE = (640, 480)
"""Width and height of the pictures that are drawn where no data set is named: those of a photograph of COCO's."""
STATE = "files in the page cache"


@dataclass(frozen=True)
class _Sources:
    """One data set as its original files and as prepared caches, by store."""

    referents: ReferDataset
    caches: Mapping[str, Cache]

    @property
    def stores(self) -> list[str]:
        """The stores, the one that gives the samples first."""
        return list(self.caches)

    @property
    def cache(self) -> Cache:
        """The cache that gives the samples; others hold the same ones."""
        return self.caches[self.stores[0]]


def data(
    cache: CacheDir = None,
    dataset: Dataset = None,
    split_by: SplitBy = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Split to load.")] = "train",
    data_root: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder that the original data sets lie in; left out: data.")
    ] = None,
    annotations: Annotated[Path | None, typer.Option("--annotations", metavar="DIR|JSONL", help="The original annotations.")] = None,
    images: Annotated[Path | None, typer.Option("--images", metavar="DIR", help="Folder of the original photographs.")] = None,
    size: Annotated[int | None, network_size("--size", "Network size; 480, or the largest prepared.")] = None,
    tokenizer: Annotated[str | None, typer.Option("--tokenizer", metavar="DIR|ID", help="Left out: the words of the data.")] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, metavar="N", help="Samples to load in each round.")] = 512,
    rounds: Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="How often each way is timed.")] = 5,
    batch_size: BatchSize = None,
    workers: Workers = None,
) -> None:
    """Load the same training samples in the plain way and from the cache, compare every value, and time both.

    The plain way opens each photograph, decodes and resizes it, draws its outlines and tokenises its sentence, one sample at a time.
    Without --cache or --dataset it draws a data set of its own in the temporary folder and prepares both stores from it.

    Example: cmirnet benchmark data
    """
    from cmirnet_cli.benchmarks.data import require_identical, time_loading, ways_to_load

    own = cache is None and dataset is None
    if own and any((split_by, data_root, annotations, images)):
        raise UsageError("--split-by, --data, --annotations and --images say where a cache came from", hint="add --cache or --dataset")
    given = (dataset, split_by, data_root or Path("data"), annotations, images)
    with _drawn(size, samples) if own else _named(cache or Path("cache"), *given) as sources:
        settings = _settings(sources.cache, size, batch_size, workers or 0)
        courses = _courses(sources, split, settings, tokenizer, samples)
        ways = ways_to_load(courses, _originals(sources))
        course = courses[sources.stores[0]]
        with console.progress("compare", course.batches) as advance:
            require_identical(ways, advance)
        with console.progress("time", rounds * len(ways)) as advance:
            timings = time_loading(ways, course.samples_in_all, rounds, advance=advance)
        _show(_described(sources, split, course), timings)


@contextmanager
def _drawn(size: int | None, samples: int) -> Iterator[_Sources]:
    """Scenes of a photograph's size and weight, one referent a sample, prepared in both ways, gone when the block ends."""
    from tempfile import TemporaryDirectory

    from cmirnet_cli.refer.layout import Places
    from cmirnet_cli.refer.sources import read_source
    from cmirnet_cli.scenes import PHOTOGRAPH_GRAIN, Amount, write_scenes

    amount = Amount(images=-(-2 * samples // 5), refs=samples, sentences=3 * samples)
    with TemporaryDirectory(prefix="cmirnet-benchmark-") as folder:
        with console.progress("draw", amount.images) as advance:
            write_scenes(Path(folder), images={"train": amount}, size=DRAWN_SIZE, grain=PHOTOGRAPH_GRAIN, advance=advance)
        referents = read_source("scenes", "demo", Places(Path(folder)))
        yield _Sources(referents, {store: _prepare(referents, Path(folder, store), store, size or 480) for store in ("decoded", "encoded")})


def _prepare(referents: ReferDataset, folder: Path, store: Store, size: int) -> Cache:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.cache.schema import CacheOptions
    from cmirnet_cli.cache.writer import steps, write_cache

    with console.progress(f"prepare {store}", steps(referents)) as advance:
        write_cache(referents, folder, CacheOptions(store, (size,)), advance=advance)
    return Cache.open(folder)


@contextmanager
def _named(
    root: Path, dataset: str | None, split_by: str | None, data_root: Path, annotations: Path | None, images: Path | None
) -> Iterator[_Sources]:
    """A cache that exists, and the files it was made from."""
    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.refer.layout import Places
    from cmirnet_cli.refer.sources import read_source

    cache = Cache.open(find_cache(root, dataset, split_by))
    manifest = cache.manifest
    if annotations is not None and annotations.suffix == ".jsonl":
        referents = read_source(str(annotations))
    else:
        referents = read_source(manifest.dataset, manifest.split_by, Places(data_root, annotations, images))
    yield _Sources(referents, {manifest.options.store: cache})


def _settings(cache: Cache, size: int | None, batch_size: int | None, workers: int) -> Settings:
    """The published recipe at one size, without a crop."""
    from cmirnet_cli.config import DataConfig, resolve

    usual, prepared = DataConfig().image_size, cache.manifest.options.sizes
    side = size or (usual if usual in prepared else max(prepared))
    flags = {"data.image_size": side, "data.resize": side, "data.workers": workers, "loop.batch_size": batch_size}
    return resolve(flags=flags)


def _courses(sources: _Sources, split: str, settings: Settings, tokenizer: str | None, samples: int) -> dict[str, Course]:
    from cmirnet_cli.benchmarks.data import Course, choose_collate

    collate = choose_collate(tokenizer, sources.cache, split, settings.text.tokens)
    return {store: Course.of(cache, split, settings, collate, samples) for store, cache in sources.caches.items()}


def _originals(sources: _Sources) -> dict[tuple[int, int], Original]:
    """Every sentence by its referent's id and its own."""
    united = sources.cache.manifest.options.overlap == "union"
    pairs = ((referent, sentence) for referent in sources.referents.referents for sentence in referent.sentences)
    return {(referent.ref_id, sentence.sent_id): _original(referent, sentence, united) for referent, sentence in pairs}


def _original(referent: Referent, sentence: Sentence, united: bool) -> Original:
    from cmirnet_cli.benchmarks.plain_loading import Original

    image = referent.image
    return Original(sentence.sent_id, sentence.text, image.path, image.upright, image.height, image.width, referent.objects, united)


def _described(sources: _Sources, split: str, course: Course) -> dict[str, object]:
    """What was measured, where and under which conditions."""
    from cmirnet_cli.engine.environment import machine

    manifest, settings = sources.cache.manifest, course.samples.data
    return {
        "data": {"dataset": manifest.dataset, "split_by": manifest.split_by, "split": split, "fingerprint": manifest.fingerprint.key},
        "samples": course.samples_in_all,
        "batch_size": course.batch_size,
        "size": settings.image_size,
        "workers": settings.workers,
        "state": STATE,
        "identical": True,
        "machine": machine(),
    }


def _show(facts: Mapping[str, object], timings: Mapping[str, Timing]) -> None:
    from cmirnet_cli.engine.environment import machine_in_words

    columns = ["way", "ms a sample", "from", "to", "samples/s", "× plain", "from", "to", "× plain, normalised"]
    console.result(
        {**facts, "ways": {name: _measured(timing, timings) for name, timing in timings.items()}},
        console.table("loading", columns, [_row(name, timings) for name in timings]),
        f"{facts['samples']:,} samples in batches of {facts['batch_size']} at {facts['size']} px, {facts['workers']} workers, {STATE}",
        "identical: every pixel, mask, token and attention mask",
        "normalised: every sample on the CPU, as the published loader does; from a cache a whole batch is normalised on the device",
        machine_in_words(),
    )


def _row(name: str, timings: Mapping[str, Timing]) -> list[str]:
    from cmirnet_cli.benchmarks.data import NORMALISED, PLAIN

    timing = timings[name]
    took, faster, published = timing.milliseconds, timing.times_faster_than(timings[PLAIN]), timing.times_faster_than(timings[NORMALISED])
    times = [f"{value:.1f}" for value in (faster.median, faster.lowest, faster.highest, published.median)]
    return [name, *(f"{value:.2f}" for value in (took.median, took.lowest, took.highest)), f"{timing.per_second:,.0f}", *times]


def _measured(timing: Timing, timings: Mapping[str, Timing]) -> dict[str, object]:
    from cmirnet_cli.benchmarks.data import NORMALISED, PLAIN

    return {
        "ms_per_sample": asdict(timing.milliseconds),
        "samples_per_second": timing.per_second,
        "times_faster_than": {name: asdict(timing.times_faster_than(timings[name])) for name in (PLAIN, NORMALISED)},
        "seconds": timing.seconds,
    }
