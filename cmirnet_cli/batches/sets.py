"""The cache as torch data sets: one referent a training item, one image an evaluation item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import Batch
from cmirnet_cli.batches.sampler import EpochSampler
from cmirnet_cli.batches.tokens import tokenise
from cmirnet_cli.batches.transforms import random_crop
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.sample import Sample
from cmirnet_cli.config import DataConfig


class TrainingSet(Dataset[Sample]):
    """One random sentence of each referent per epoch, image and mask resized and randomly cropped.

    What an item holds depends on (seed, epoch, item) alone, not on the worker that reads it.
    """

    def __init__(self, cache: Cache, split: str, data: DataConfig, *, seed: int, epoch: int) -> None:
        self.cache = cache
        self.rows = cache.referents(split)
        self.data = data
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> Sample:
        row = int(self.rows[item])
        rng = np.random.default_rng([self.seed, self.epoch, row])
        sentence = int(rng.integers(len(self.cache.referent(row).sentences)))
        sample = self.cache.sample(row, sentence, self.data.resize)
        image, mask = random_crop(sample.image, sample.mask, self.data.image_size, rng)
        return Sample(sample.ref_id, sample.image_id, sample.sent_id, sample.text, image, mask)


@dataclass(frozen=True)
class Collate:
    """Samples to a batch; picklable, so that workers can tokenise."""

    tokenizer: PreTrainedTokenizerBase
    tokens: int

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Stack what must be stacked, tokenise the rest."""
        return Batch(
            image=torch.from_numpy(np.stack([sample.image for sample in samples])),
            tokens=tokenise(self.tokenizer, [sample.text for sample in samples], self.tokens),
            target=torch.from_numpy(np.stack([sample.mask for sample in samples])),
            sent_ids=tuple(sample.sent_id for sample in samples),
        )


def training_batches(samples: TrainingSet, collate: Collate, batch_size: int, *, offset: int = 0) -> DataLoader[Sample]:
    """The batches of one epoch, in their order, from the `offset`-th on."""
    sampler = EpochSampler(len(samples), batch_size, seed=samples.seed, epoch=samples.epoch, offset=offset)
    return DataLoader(samples, batch_sampler=sampler, collate_fn=collate, num_workers=samples.data.workers)


@dataclass(frozen=True)
class Question:
    """One sentence of an image to be evaluated, with both targets.

    Attributes:
        ref_id: REFER's id of the referent.
        sent_id: REFER's id of the sentence.
        text: what the network is asked; the sentence, unless a control replaced it.
        target: uint8 (S, S), at network size.
        original: uint8 (H, W), at the image's own size.
    """

    ref_id: int
    sent_id: int
    text: str
    target: NDArray[np.uint8]
    original: NDArray[np.uint8]


@dataclass(frozen=True)
class ImageQuestions:
    """One image, uint8 (S, S, 3), and all sentences of the split that refer into it."""

    image_id: str
    image: NDArray[np.uint8]
    questions: tuple[Question, ...]


class EvaluationSet(Dataset[ImageQuestions]):
    """Every sentence of every referent of a split exactly once, gathered by image.

    Args:
        cache: the prepared data.
        split: name of the split.
        size: network size.
        asked: row of the referent → texts that replace its sentences one by one (a control); none by default.
    """

    def __init__(self, cache: Cache, split: str, size: int, asked: dict[int, tuple[str, ...]] | None = None) -> None:
        self.cache = cache
        self.size = size
        self.asked = asked or {}
        self.by_image: dict[int, list[int]] = {}
        for row in cache.referents(split).tolist():
            self.by_image.setdefault(cache.referent(row).image_row, []).append(row)
        self.image_rows = list(self.by_image)

    def __len__(self) -> int:
        return len(self.image_rows)

    def __getitem__(self, item: int) -> ImageQuestions:
        image_row = self.image_rows[item]
        rows = self.by_image[image_row]
        questions = tuple(question for row in rows for question in self._questions(row))
        return ImageQuestions(self.cache.referent(rows[0]).image_id, self.cache.image(image_row, self.size), questions)

    def _questions(self, row: int) -> list[Question]:
        referent = self.cache.referent(row)
        target, original = self.cache.mask(row, self.size), self.cache.mask(row, None)
        texts = self.asked.get(row, tuple(sentence.text for sentence in referent.sentences))
        pairs = zip(referent.sentences, texts, strict=True)
        return [Question(referent.ref_id, sentence.sent_id, text, target, original) for sentence, text in pairs]


def shuffled_texts(cache: Cache, split: str, seed: int = 0) -> dict[int, tuple[str, ...]]:
    """The shuffled-text control: every referent is asked for with the sentences of another one of the split.

    The referents stand in a random ring and each takes its neighbour's sentences, so none keeps its own (a lone referent does).
    """
    rows = np.random.default_rng(seed).permutation(cache.referents(split)).tolist()
    asked: dict[int, tuple[str, ...]] = {}
    for row, other in zip(rows, [*rows[1:], *rows[:1]], strict=True):
        texts = [sentence.text for sentence in cache.referent(other).sentences]
        asked[row] = tuple(texts[k % len(texts)] for k in range(len(cache.referent(row).sentences)))
    return asked
