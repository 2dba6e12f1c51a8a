"""Loading training samples in several ways: the same ones in the same order, compared number by number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch

from cmirnet_cli.batches.batch import Batch, normalise, word_tokenizer
from cmirnet_cli.batches.datasets import Collate, TrainingSet, training_batches
from cmirnet_cli.benchmarks.plain_loading import Original, PlainSet, plain_batches
from cmirnet_cli.benchmarks.timing import SHORTEST, Timing, side_by_side
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.errors import CmirnetError, DataError, listed
from cmirnet_cli.weights.encoder import load_tokenizer

PLAIN, NORMALISED = "plain", "plain, normalised"
ELSEWHERE = (
    "give a local folder that holds one, run once where the hub can be reached, or leave --tokenizer out to use the words of the data"
)
SHOWN = 3
"""Differences that an error names."""

Way = Callable[[], Iterable[Batch]]
"""Loads all samples, from the first batch on, each time it is called."""


@dataclass(frozen=True)
class Course:
    """The first batches of a split's first epoch, as training takes them from a cache."""

    samples: TrainingSet
    collate: Collate
    batch_size: int
    batches: int

    @classmethod
    def of(cls, cache: Cache, split: str, settings: Settings, collate: Collate, samples: int) -> Course:
        """Whole batches of at most so many samples.

        Raises:
            DataError: there is not even one.
        """
        chosen = TrainingSet(cache, split, settings.data, seed=settings.loop.seed, epoch=0)
        batch_size = settings.loop.batch_size
        if not (batches := min(samples, len(chosen)) // batch_size):
            found = f"{min(samples, len(chosen))} samples of {split} in {cache.folder} do not fill one batch of {batch_size}"
            raise DataError(found, hint="lower --batch-size, raise --samples, or name another --split")
        return cls(chosen, collate, batch_size, batches)

    @property
    def samples_in_all(self) -> int:
        """How many samples the batches hold."""
        return self.batches * self.batch_size

    def load(self) -> Iterator[Batch]:
        """The batches, from the first on."""
        return islice(iter(training_batches(self.samples, self.collate, self.batch_size)), self.batches)

    def sentences(self) -> list[tuple[int, int]]:
        """`ref_id` and `sent_id` of every sample, in order."""
        order: Iterable[list[int]] = training_batches(self.samples, self.collate, self.batch_size).sampler
        drawn = (self.samples[item] for batch in islice(order, self.batches) for item in batch)
        return [(sample.ref_id, sample.sent_id) for sample in drawn]

    def originals(self, known: Mapping[tuple[int, int], Original]) -> list[Original]:
        """The samples as their files have them, found by `ref_id` and `sent_id`.

        Raises:
            DataError: one is not among those known.
        """
        drawn = self.sentences()
        if missing := [key for key in drawn if key not in known]:
            found = f"the original data have no sentence {missing[0][1]} of referent {missing[0][0]}, which {self.samples.cache.folder} has"
            raise DataError(found, hint="name the annotations that the cache was made from, with --data or --annotations")
        return [known[key] for key in drawn]

    def plainly(self, originals: Sequence[Original], *, normalised: bool) -> Way:
        """The same batches from their files."""
        data = self.samples.data
        samples = PlainSet(originals, data.image_size, self.collate.tokenizer, self.collate.tokens, normalised=normalised)
        return partial(plain_batches, samples, self.batch_size, data.workers)


def ways_to_load(courses: Mapping[str, Course], known: Mapping[tuple[int, int], Original]) -> dict[str, Way]:
    """The plain way without and with normalisation, then each store; raises as `Course.originals` does."""
    course = next(iter(courses.values()))
    originals = course.originals(known)
    plain = {PLAIN: course.plainly(originals, normalised=False), NORMALISED: course.plainly(originals, normalised=True)}
    return plain | {store: course.load for store, course in courses.items()}


def choose_collate(tokenizer: str | None, cache: Cache, split: str, tokens: int) -> Collate:
    """Collation with a pretrained tokenizer, or with one whose vocabulary is the words of the split. Raises as `load_tokenizer` does."""
    if tokenizer is not None:
        return Collate(load_tokenizer(tokenizer, ELSEWHERE), tokens)
    return Collate(word_tokenizer(cache.split_sentences(split)), tokens)


def require_identical(ways: Mapping[str, Way], advance: Callable[[int], object] = lambda batches: None) -> None:
    """Compare all batches of all ways with those of the first: pixels, masks, ids, attention masks and sentences, bit by bit.

    Where one way normalises its images and the first does not, those of the first are normalised a whole batch at a time.

    Raises:
        CmirnetError: they differ; names the sentences and what differs.
    """
    first, *others = ways
    for expected, *found in zip(*(way() for way in ways.values()), strict=True):
        for name, batch in zip(others, found, strict=True):
            if differences := _differences(expected, batch):
                raise CmirnetError(
                    f"{name} does not load what {first} loads: {listed(differences, SHOWN)}",
                    hint="the cache was made from other files, or by other versions: prepare it again with --overwrite",
                )
        advance(1)


def time_loading(
    ways: Mapping[str, Way], samples: int, rounds: int, *, at_least: float = SHORTEST, advance: Callable[[int], object] = lambda done: None
) -> dict[str, Timing]:
    """Time all ways by turns; see `side_by_side`."""
    with one_thread():
        return side_by_side(
            {name: partial(_exhaust, way) for name, way in ways.items()}, samples, rounds, at_least=at_least, advance=advance
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute tensors in one thread, as in a loader's worker process; several of them wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _exhaust(way: Way) -> None:
    deque(way(), maxlen=0)


def _differences(expected: Batch, found: Batch) -> list[str]:
    """Such as "the pixels of sentence 12"."""
    if expected.sent_ids != found.sent_ids:
        return [f"sentences {found.sent_ids} instead of {expected.sent_ids}"]
    parts = {
        "pixels": (normalise(expected.image) if found.image.is_floating_point() else expected.image, found.image),
        "mask": (expected.target, found.target),
        "tokens": (expected.tokens.ids, found.tokens.ids),
        "attention mask": (expected.tokens.keep, found.tokens.keep),
    }
    rows = range(len(expected))
    return [
        f"the {name} of sentence {expected.sent_ids[row]}" for name, (a, b) in parts.items() for row in rows if not a[row].equal(b[row])
    ]
