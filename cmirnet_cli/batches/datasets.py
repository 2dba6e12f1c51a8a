"""The cache as torch data sets: one referent or one sentence a training item, one image an evaluation item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import Batch, random_crop, tokenise
from cmirnet_cli.batches.loader import WHOLE, EpochSampler, Loader, Piece, Share
from cmirnet_cli.batches.mirror import mirrored
from cmirnet_cli.cache.features import TextFeatures
from cmirnet_cli.cache.reader import Cache, Sample
from cmirnet_cli.config import DataConfig

FLIP_SHARE = 0.5
"""How often `data.flip` mirrors an image whose sentence allows it."""


class Together(list[Sample]):
    """Samples whose images are the rows of one array, uint8 (B, S, S, 3)."""

    def __init__(self, samples: Iterable[Sample], images: NDArray[np.uint8]) -> None:
        super().__init__(samples)
        self.images = images


class TrainingSet(Dataset[Sample]):
    """One epoch: one random sentence of each referent, or every sentence once, as `data.sample` says.

    Image and mask are resized, randomly cropped and, if `data.flip` is set, half of the time mirrored together with the sentence.
    What an item holds depends on (seed, epoch, item) alone, not on the worker that reads it.
    """

    def __init__(self, cache: Cache, split: str, data: DataConfig, *, seed: int, epoch: int) -> None:
        self.cache = cache
        self.rows = cache.referent_rows(split)
        self.counts = cache.sentence_counts(self.rows)
        self.sentences: NDArray[np.int64] | None = None
        if data.sample == "sentence":
            begins = np.cumsum(self.counts) - self.counts
            self.sentences = np.arange(self.counts.sum()) - np.repeat(begins, self.counts)  # of 2 and 3 sentences: 0 1 0 1 2
            self.rows = np.repeat(self.rows, self.counts)
        self.data = data
        self.seed = seed
        self.epoch = epoch

    def at(self, epoch: int) -> TrainingSet:
        """The same samples in another epoch."""
        other = copy(self)
        other.epoch = epoch
        return other

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> Sample:
        return self._item(item, None)

    def __getitems__(self, items: Sequence[int]) -> Together:
        """A whole batch, for the loader: images are read right into their place beside each other, or copied there at once."""
        images = np.empty((len(items), self.data.image_size, self.data.image_size, 3), np.uint8)
        return Together((self._item(item, place) for item, place in zip(items, images, strict=True)), images)

    def _item(self, item: int, place: NDArray[np.uint8] | None) -> Sample:
        """One item; with `place`, uint8 (S, S, 3), its image is there."""
        row = int(self.rows[item])
        if self.sentences is None:
            rng = np.random.default_rng([self.seed, self.epoch, row])
            sentence = int(rng.integers(int(self.counts[item])))
        else:
            sentence = int(self.sentences[item])
            rng = np.random.default_rng([self.seed, self.epoch, row, sentence])
        sample = self.cache.sample(row, sentence, self.data.resize, place if self.data.resize == self.data.image_size else None)
        image, mask = random_crop(sample.image, sample.mask, self.data.image_size, rng)
        sample = replace(sample, image=image, mask=mask)
        if self.data.flip and rng.random() < FLIP_SHARE:
            sample = mirrored(sample)
        if place is None:
            return sample
        if sample.image.base is not place.base:
            place[...] = sample.image
        return replace(sample, image=place)


@dataclass(frozen=True)
class Collate:
    """Samples to a batch; picklable, so that workers can tokenise, and read the features of the sentences where there are some."""

    tokenizer: PreTrainedTokenizerBase
    tokens: int
    features: TextFeatures | None = None

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Stack what must be stacked, tokenise the rest."""
        images = samples.images if isinstance(samples, Together) else np.stack([sample.image for sample in samples])
        texts = [sample.text for sample in samples]
        return Batch(
            image=torch.from_numpy(images),
            tokens=tokenise(self.tokenizer, texts, self.tokens),
            target=torch.from_numpy(np.stack([sample.mask for sample in samples])),
            sent_ids=tuple(sample.sent_id for sample in samples),
            words=None if self.features is None else torch.from_numpy(self.features.words(texts)),
        )


def training_batches(
    samples: TrainingSet,
    collate: Collate,
    batch_size: int,
    *,
    epochs: int = 1,
    offset: int = 0,
    share: Share = WHOLE,
    pinned: bool = False,
) -> Loader[Batch]:
    """The batches of one epoch or several, in their order; of each the pieces of this `share`.

    Args:
        samples: the first epoch.
        collate: makes batches of them.
        batch_size: sentences of a batch, over all processes.
        epochs: how many; the loading processes live through all of them.
        offset: batches of the first epoch that were already taken.
        share: this process's part of each batch.
        pinned: whether batches wait in memory that a GPU can copy from while it computes.
    """
    sampler = EpochSampler(len(samples), batch_size, seed=samples.seed, epoch=samples.epoch, epochs=epochs, offset=offset, share=share)
    return Loader(partial(_batch, samples, collate), sampler, samples.data.workers, pinned=pinned)


def _batch(samples: TrainingSet, collate: Collate, piece: Piece) -> Batch:
    batch = collate(samples.at(piece.epoch).__getitems__(piece.items))
    return batch if piece.counts else batch.left_out()


@dataclass(frozen=True)
class EvaluationSentence:
    """One sentence of an image to be evaluated, with both targets.

    Attributes:
        ref_id: REFER's id of the referent.
        sent_id: REFER's id of the sentence.
        text: what the network reads; the sentence, unless a control replaced it.
        target: uint8 (S, S), at network size.
        original: uint8 (H, W), at the image's own size.
    """

    ref_id: int
    sent_id: int
    text: str
    target: NDArray[np.uint8]
    original: NDArray[np.uint8]


@dataclass(frozen=True)
class EvaluationImage:
    """One image, uint8 (S, S, 3), and all sentences of the split that refer into it."""

    image_id: str
    image: NDArray[np.uint8]
    sentences: tuple[EvaluationSentence, ...]


class EvaluationSet(Dataset[EvaluationImage]):
    """Every sentence of every referent of a split exactly once, gathered by image.

    Args:
        cache: the prepared data.
        split: name of the split.
        size: network size.
        replacements: row of the referent → texts that replace its sentences one by one (a control); none by default.
    """

    def __init__(self, cache: Cache, split: str, size: int, replacements: dict[int, tuple[str, ...]] | None = None) -> None:
        self.cache = cache
        self.size = size
        self.replacements = replacements or {}
        self.by_image: dict[int, list[int]] = {}
        for row in cache.referent_rows(split).tolist():
            self.by_image.setdefault(cache.referent(row).image_row, []).append(row)
        self.image_rows = list(self.by_image)

    def __len__(self) -> int:
        return len(self.image_rows)

    def __getitem__(self, item: int) -> EvaluationImage:
        image_row = self.image_rows[item]
        rows = self.by_image[image_row]
        sentences = tuple(sentence for row in rows for sentence in self._sentences(row))
        return EvaluationImage(self.cache.referent(rows[0]).image_id, self.cache.image(image_row, self.size), sentences)

    def sentence_count(self, items: Iterable[int]) -> int:
        """How many sentences refer into these images."""
        rows = [row for item in items for row in self.by_image[self.image_rows[item]]]
        return int(self.cache.sentence_counts(np.array(rows, dtype=np.int64)).sum())

    def _sentences(self, row: int) -> list[EvaluationSentence]:
        referent = self.cache.referent(row)
        target, original = self.cache.mask(row, self.size), self.cache.mask(row, None)
        texts = self.replacements.get(row, tuple(sentence.text for sentence in referent.sentences))
        pairs = zip(referent.sentences, texts, strict=True)
        return [EvaluationSentence(referent.ref_id, sentence.sent_id, text, target, original) for sentence, text in pairs]


def evaluation_images(samples: Dataset[EvaluationImage], workers: int) -> Loader[EvaluationImage]:
    """The images of a set one by one, in their order."""
    return Loader(samples.__getitem__, range(len(cast(Sized, samples))), workers)


def shuffled_texts(cache: Cache, split: str, seed: int = 0) -> dict[int, tuple[str, ...]]:
    """The shuffled-text control: every referent gets the sentences of another one of the split.

    The referents stand in a random ring and each takes its neighbour's sentences, so none keeps its own (a lone referent does).
    """
    rows = np.random.default_rng(seed).permutation(cache.referent_rows(split)).tolist()
    replacements: dict[int, tuple[str, ...]] = {}
    for row, other in zip(rows, [*rows[1:], *rows[:1]], strict=True):
        texts = [sentence.text for sentence in cache.referent(other).sentences]
        replacements[row] = tuple(texts[k % len(texts)] for k in range(len(cache.referent(row).sentences)))
    return replacements
