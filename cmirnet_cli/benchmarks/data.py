"""Loading training samples in the plain way and from caches: the same ones in the same order, compared number by number, timed by turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import torch

from cmirnet_cli.batches.batch import Batch, normalise, word_tokenizer
from cmirnet_cli.batches.datasets import Collate, TrainingSet, training_batches
from cmirnet_cli.batches.loader import Piece
from cmirnet_cli.benchmarks.plain_loading import Original, PlainSet, plain_batches
from cmirnet_cli.benchmarks.timing import SHORTEST, Advance, Progress, Timing, side_by_side
from cmirnet_cli.cache.folder import find_cache
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions, Manifest, Store
from cmirnet_cli.cache.writer import steps, write_cache
from cmirnet_cli.config import DataConfig, Settings, resolve
from cmirnet_cli.errors import CmirnetError, DataError, listed
from cmirnet_cli.refer.layout import Places
from cmirnet_cli.refer.referent import ReferDataset
from cmirnet_cli.refer.sources import read_source
from cmirnet_cli.scenes import PHOTOGRAPH_GRAIN, Amount, write_scenes
from cmirnet_cli.weights.encoder import load_tokenizer

PLAIN, NORMALISED = "plain", "plain, normalised"
ELSEWHERE = (
    "give a local folder that holds one, run once where the hub can be reached, or leave --tokenizer out to use the words of the data"
)
SHOWN = 3
"""Differences that an error names."""
DRAWN_SIZE = (640, 480)
"""Width and height of drawn pictures: those of a photograph of COCO's."""

LoadSamples: TypeAlias = Callable[[], Iterable[Batch]]
"""Loads all samples, from the first batch on, each time it is called."""


@dataclass(frozen=True)
class LoadingSource:
    """One data set as its original files, and as prepared caches that all hold it, by store."""

    dataset: ReferDataset
    caches: Mapping[Store, Cache]

    @property
    def cache(self) -> Cache:
        """The one that says which samples are loaded."""
        return next(iter(self.caches.values()))

    def originals(self) -> dict[tuple[int, int], Original]:
        """Every sentence as its files have it, by its referent's id and its own."""
        united = self.cache.manifest.options.overlap == "union"
        originals = {}
        for referent in self.dataset.referents:
            image = referent.image
            place = (image.path, image.upright, image.height, image.width)
            for sentence in referent.sentences:
                original = Original(sentence.sent_id, sentence.text, *place, referent.objects, united)
                originals[referent.ref_id, sentence.sent_id] = original
        return originals


@contextmanager
def drawn_source(size: int, samples: int, progress: Progress) -> Iterator[LoadingSource]:
    """Scenes of a photograph's size and weight, one referent a sample, prepared in both stores, gone when the block ends."""
    amount = Amount(images=-(-2 * samples // 5), refs=samples, sentences=3 * samples)
    with TemporaryDirectory(prefix="cmirnet-benchmark-") as folder:
        with progress("draw", amount.images) as advance:
            drawn = partial(advance, 1)
            write_scenes(Path(folder), images={"train": amount}, size=DRAWN_SIZE, grain=PHOTOGRAPH_GRAIN, advance=drawn)
        dataset = read_source("scenes", "demo", Places(Path(folder)))
        caches: dict[Store, Cache] = {}
        stores: tuple[Store, ...] = ("decoded", "encoded")
        for store in stores:
            with progress(f"prepare {store}", steps(dataset)) as advance:
                write_cache(dataset, Path(folder, store), CacheOptions(store, (size,)), advance=advance)
            caches[store] = Cache.open(Path(folder, store))
        yield LoadingSource(dataset, caches)


def prepared_source(root: Path, dataset: str | None, split_by: str | None, places: Places) -> LoadingSource:
    """A cache that exists, and the files it was made from: annotations in REFER layout, or the JSONL file that `places` names."""
    cache = Cache.open(find_cache(root, dataset, split_by))
    manifest = cache.manifest
    if places.annotations is not None and places.annotations.suffix == ".jsonl":
        referents = read_source(str(places.annotations))
    else:
        referents = read_source(manifest.dataset, manifest.split_by, places)
    return LoadingSource(referents, {manifest.options.store: cache})


@dataclass(frozen=True)
class LoadingOptions:
    """Which samples are loaded and how.

    Attributes:
        split: which part of the data set.
        samples: at most so many, in whole batches.
        rounds: how often each way is timed.
        size: of the images in pixels; the published one where it is prepared, else the largest prepared one, by default.
        batch_size: samples of a batch; the published one by default.
        workers: processes that load beside this one.
        tokenizer: a folder or a hub id; by default one whose vocabulary is the words of the split.
    """

    split: str
    samples: int
    rounds: int
    size: int | None = None
    batch_size: int | None = None
    workers: int = 0
    tokenizer: str | None = None

    def settings(self, prepared: Sequence[int]) -> Settings:
        """The published recipe at one size of those prepared, without a crop."""
        usual = DataConfig().image_size
        side = self.size or (usual if usual in prepared else max(prepared))
        flags = {"data.image_size": side, "data.resize": side, "data.workers": self.workers, "loop.batch_size": self.batch_size}
        return resolve(flags=flags)


@dataclass(frozen=True)
class LoadingComparison:
    """How long each way took to load the same samples, and what they were."""

    manifest: Manifest
    data: DataConfig
    samples: int
    batch_size: int
    timings: Mapping[str, Timing]


def compare_loading(source: LoadingSource, options: LoadingOptions, progress: Progress) -> LoadingComparison:
    """Load the same samples in every way, compare all values, then time the ways by turns.

    Raises:
        CmirnetError: two ways differ.
        DataError: the samples do not fill one batch, or the original data lack one.
        ImageError: a photograph cannot be read any more.
        WeightsError: the tokenizer cannot be loaded.
    """
    manifest = source.cache.manifest
    settings = options.settings(manifest.options.sizes)
    collate = choose_collate(options.tokenizer, source.cache, options.split, settings.text.tokens)
    by_store = {store: FirstBatches.of(cache, options.split, settings, collate, options.samples) for store, cache in source.caches.items()}
    first = next(iter(by_store.values()))
    originals = first.originals(source.originals())
    ways: dict[str, LoadSamples] = {name: first.plainly(originals, normalised=name == NORMALISED) for name in (PLAIN, NORMALISED)}
    ways |= {store: batches.load for store, batches in by_store.items()}
    with progress("compare", first.batches) as advance:
        require_identical(ways, advance)
    with progress("time", options.rounds * len(ways)) as advance:
        timings = time_loading(ways, first.sample_count, options.rounds, advance=advance)
    return LoadingComparison(manifest, settings.data, first.sample_count, first.batch_size, timings)


@dataclass(frozen=True)
class FirstBatches:
    """The first batches of a split's first epoch, as training takes them from a cache."""

    samples: TrainingSet
    collate: Collate
    batch_size: int
    batches: int

    @classmethod
    def of(cls, cache: Cache, split: str, settings: Settings, collate: Collate, samples: int) -> FirstBatches:
        """Whole batches of at most so many samples.

        Raises:
            DataError: there is not even one.
        """
        epoch = TrainingSet(cache, split, settings.data, seed=settings.loop.seed, epoch=0)
        batch_size = settings.loop.batch_size
        if not (batches := min(samples, len(epoch)) // batch_size):
            problem = f"{min(samples, len(epoch))} samples of {split} in {cache.folder} do not fill one batch of {batch_size}"
            raise DataError(problem, hint="lower --batch-size, raise --samples, or name another --split")
        return cls(epoch, collate, batch_size, batches)

    @property
    def sample_count(self) -> int:
        """How many samples the batches hold."""
        return self.batches * self.batch_size

    def load(self) -> Iterator[Batch]:
        """The batches, from the first on."""
        return islice(iter(training_batches(self.samples, self.collate, self.batch_size)), self.batches)

    def sentence_ids(self) -> list[tuple[int, int]]:
        """`ref_id` and `sent_id` of every sample, in order."""
        order: Iterable[Piece] = training_batches(self.samples, self.collate, self.batch_size).sampler
        samples = (self.samples[item] for batch in islice(order, self.batches) for item in batch.items)
        return [(sample.ref_id, sample.sent_id) for sample in samples]

    def originals(self, known: Mapping[tuple[int, int], Original]) -> list[Original]:
        """The samples as their files have them, looked up by `ref_id` and `sent_id`.

        Raises:
            DataError: one is not among those known.
        """
        ids = self.sentence_ids()
        if missing := [key for key in ids if key not in known]:
            ref_id, sent_id = missing[0]
            problem = f"the original data have no sentence {sent_id} of referent {ref_id}, which {self.samples.cache.folder} has"
            raise DataError(problem, hint="name the annotations that the cache was made from, with --data or --annotations")
        return [known[key] for key in ids]

    def plainly(self, originals: Sequence[Original], *, normalised: bool) -> LoadSamples:
        """The same batches from their files."""
        data = self.samples.data
        samples = PlainSet(originals, data.image_size, self.collate.tokenizer, self.collate.tokens, normalised=normalised)
        return partial(plain_batches, samples, self.batch_size, data.workers)


def choose_collate(tokenizer: str | None, cache: Cache, split: str, tokens: int) -> Collate:
    """Collation with a pretrained tokenizer, or with one whose vocabulary is the words of the split. Raises as `load_tokenizer` does."""
    if tokenizer is not None:
        return Collate(load_tokenizer(tokenizer, ELSEWHERE), tokens)
    return Collate(word_tokenizer(cache.split_sentences(split)), tokens)


def require_identical(ways: Mapping[str, LoadSamples], advance: Advance = lambda batches: None) -> None:
    """Compare all batches of all ways with those of the first: pixels, masks, ids, attention masks and sentences, bit by bit.

    Where one way normalises its images and the first does not, those of the first are normalised a whole batch at a time.

    Raises:
        CmirnetError: they differ; names the sentences and what differs.
    """
    first, *others = ways
    for expected, *batches in zip(*(load() for load in ways.values()), strict=True):
        for name, batch in zip(others, batches, strict=True):
            if differences := _differences(expected, batch):
                raise CmirnetError(
                    f"{name} does not load what {first} loads: {listed(differences, SHOWN)}",
                    hint="the cache was made from other files, or by other versions: prepare it again with --overwrite",
                )
        advance(1)


def time_loading(
    ways: Mapping[str, LoadSamples], samples: int, rounds: int, *, at_least: float = SHORTEST, advance: Advance = lambda done: None
) -> dict[str, Timing]:
    """Time all ways by turns; see `side_by_side`."""
    with one_thread():
        runs = {name: partial(_exhaust, load) for name, load in ways.items()}
        return side_by_side(runs, samples, rounds, at_least=at_least, advance=advance)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute tensors in one thread, as in a loader's worker process; several of them wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _exhaust(load: LoadSamples) -> None:
    deque(load(), maxlen=0)


def _differences(expected: Batch, batch: Batch) -> list[str]:
    """Such as "the pixels of sentence 12"."""
    if expected.sent_ids != batch.sent_ids:
        return [f"sentences {batch.sent_ids} instead of {expected.sent_ids}"]
    parts = {
        "pixels": (normalise(expected.image) if batch.image.is_floating_point() else expected.image, batch.image),
        "mask": (expected.target, batch.target),
        "tokens": (expected.tokens.ids, batch.tokens.ids),
        "attention mask": (expected.tokens.keep, batch.tokens.keep),
    }
    rows = range(len(expected))
    return [
        f"the {name} of sentence {expected.sent_ids[row]}" for name, (a, b) in parts.items() for row in rows if not a[row].equal(b[row])
    ]
