"""Scoring: every sentence of a split once, under all protocols at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from hashlib import blake2b
from operator import itemgetter
from types import MappingProxyType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import normalise, tokenise
from cmirnet_cli.batches.datasets import EvaluationImage, EvaluationSentence, EvaluationSet, evaluation_images, shuffled_texts
from cmirnet_cli.cache.features import TextFeatures
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config.published import IMAGENET_MEAN
from cmirnet_cli.engine.processes import ALONE, Process
from cmirnet_cli.engine.rows import grouped, padded, require_numbers
from cmirnet_cli.images.masks import coco_rle
from cmirnet_cli.metrics.counts import count
from cmirnet_cli.metrics.sentences import ReferentStats, SentenceScore, SplitScores
from cmirnet_cli.model.features import ImageFeatures, Logits


class ReferringModelLike(Protocol):
    """As much of `ReferringModel` as scoring needs. Legend: B batch, T tokens, D text width, H × W the image."""

    def encode_text(self, ids: Tensor, keep: Tensor) -> Tensor:
        """Token ids int64 (B, T) and keep bool (B, T) to words float (B, T, D)."""

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """Normalised images float (B, 3, H, W) to all that does not depend on the words."""

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, *, auxiliary: bool) -> Logits:
        """Features, words float (B, T, D) and keep bool (B, T) to logits (B, 2, H, W)."""

    def eval(self) -> object:
        """Make it ready to be scored."""


GREY = tuple(round(255 * mean) for mean in IMAGENET_MEAN)
"""The colour, uint8 RGB, whose normalised value is nearest to 0 in each channel: ImageNet's mean."""


class GreyImages(EvaluationSet):
    """The same sentences with an even grey in place of each image; targets stay."""

    def __getitem__(self, item: int) -> EvaluationImage:
        image = super().__getitem__(item)
        return replace(image, image=np.broadcast_to(np.array(GREY, np.uint8), image.image.shape).copy())


_CONTROL_SETS: Mapping[str, Callable[[Cache, str, int], EvaluationSet]] = MappingProxyType(
    {
        "shuffled-text": lambda cache, split, size: EvaluationSet(cache, split, size, shuffled_texts(cache, split)),
        "no-image": GreyImages,
    }
)


def control_set(control: str, cache: Cache, split: str, size: int) -> EvaluationSet:
    """What one of `metrics.sentences.CONTROLS` scores, sentence by sentence in the order of `EvaluationSet`.

    Raises:
        KeyError: there is no such control.
    """
    return _CONTROL_SETS[control](cache, split, size)


def referent_stats(cache: Cache, split: str) -> dict[int, ReferentStats]:
    """`ref_id` → size, category and number of distractors, for every referent of a split.

    A distractor is another mask that a referent of the same image and category has, in whatever split; two referents with one mask are
    one object. Where referents are several objects at once (gRefCOCO), each combination counts as one, so the number is a rough one.
    """
    own = set(cache.referent_rows(split).tolist())
    images = {cache.referent(row).image_row for row in own}
    stats: dict[int, tuple[int, bool, tuple[int, str], bytes]] = {}
    objects: dict[tuple[int, str], set[bytes]] = defaultdict(set)
    for row in sorted({row for each in cache.splits for row in cache.referent_rows(each).tolist()}):
        referent = cache.referent(row)
        if referent.image_row not in images:
            continue
        mask = cache.mask(row, None)
        kind, outline = (referent.image_row, referent.category), blake2b(mask.tobytes(), digest_size=16).digest()
        objects[kind].add(outline)
        if row in own:
            stats[referent.ref_id] = int(mask.sum()), cache.refers_to_nothing(row), kind, outline
    return {
        ref_id: ReferentStats(area, kind[1], len(objects[kind] - {outline}), no_target)
        for ref_id, (area, no_target, kind, outline) in stats.items()
    }


Advance = Callable[[int], object]
"""Is called with how many more sentences are done."""


@dataclass(frozen=True)
class Evaluator:
    """A model ready to be scored: where it runs, how it reads text, how many sentences go through it at once.

    With `keep_masks` each sentence's score holds its mask: of the protocol `original` where that is scored, else of `paper`.
    `features` hold what its text encoder gives for every sentence of the cache; None: the text encoder runs. A `compiled` model is
    given batches of `batch_size` rows only, for every other number would be compiled anew.
    """

    model: ReferringModelLike
    tokenizer: PreTrainedTokenizerBase
    tokens: int
    device: torch.device
    batch_size: int = 8
    workers: int = 0
    keep_masks: bool = False
    features: TextFeatures | None = None
    compiled: bool = False

    @property
    def fills_batches(self) -> bool:
        """Whether sentences of several images go through together, in batches that are always full: what GPUs are fast at.

        A CPU gains nothing by it, and would compute rows that nobody needs: there the sentences of one image go through together.
        """
        return self.compiled or self.device.type != "cpu"

    def read(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Words float (n, T, D) and keep bool (n, T) of n expressions, on the device."""
        tokens = tokenise(self.tokenizer, texts, self.tokens).to(self.device)
        if self.features is not None:
            return torch.from_numpy(self.features.words(texts)).to(self.device), tokens.keep
        return self.model.encode_text(tokens.ids, tokens.keep), tokens.keep


def evaluate_split(
    evaluator: Evaluator,
    cache: Cache,
    split: str,
    size: int,
    protocols: Sequence[str],
    *,
    controls: Sequence[str] = (),
    progress: Callable[[int], AbstractContextManager[Advance]] = lambda total: nullcontext(lambda done: None),
    process: Process = ALONE,
) -> SplitScores:
    """Score a split of a cache, and once more for each of `controls` (names of `metrics.sentences.CONTROLS`), whose masks are not kept.

    `progress` is opened with the number of sentences that this process scores.
    """
    samples, lean = EvaluationSet(cache, split, size), replace(evaluator, keep_masks=False)
    total = samples.sentence_count(process.part(range(len(samples))))
    with progress(total * (1 + len(controls))) as advance:
        sentences = score_samples(evaluator, samples, protocols, advance, process)
        controlled = {
            name: tuple(score_samples(lean, control_set(name, cache, split, size), protocols, advance, process)) for name in controls
        }
    return SplitScores(split, tuple(protocols), tuple(sentences), controlled, referent_stats(cache, split))


def score_samples(
    evaluator: Evaluator, samples: EvaluationSet, protocols: Sequence[str], advance: Advance = lambda done: None, process: Process = ALONE
) -> list[SentenceScore]:
    """Score every sentence of the set, in its order; each of several processes scores its part of the images and has all scores."""
    own = process.part(range(len(samples)))
    placed: list[tuple[int, SentenceScore]] = []
    for scores in scored_batches(evaluator, Subset(samples, own), protocols):
        placed += [(own[place], score) for place, score in scores]
        advance(len(scores))
    return [score for _, score in sorted(process.gather(placed), key=itemgetter(0))]


def scored_batches(
    evaluator: Evaluator, samples: Dataset[EvaluationImage], protocols: Sequence[str]
) -> Iterator[list[tuple[int, SentenceScore]]]:
    """The scores of all sentences in their order, batch by batch; with each the place of its image in the set."""
    evaluator.model.eval()
    for rows in _batches(evaluator, evaluation_images(samples, evaluator.workers)):
        yield _score_batch(evaluator, rows, protocols)


@dataclass(frozen=True)
class SentenceInBatch:
    """A sentence with its targets, and its image: the place in the set, the id, the features."""

    place: int
    image_id: str
    sentence: EvaluationSentence
    features: ImageFeatures


def _batches(evaluator: Evaluator, images: Iterable[EvaluationImage]) -> Iterator[list[SentenceInBatch]]:
    """The sentences that go through together. What is computed of one depends on its own image's sentences alone, or on none at all."""
    if evaluator.fills_batches:
        groups = grouped(enumerate(images), evaluator.batch_size)
        rows = (row for group in groups for row in _rows(evaluator, group, padded(group, evaluator.batch_size)))
        yield from grouped(rows, evaluator.batch_size)
    else:
        for image in enumerate(images):
            yield from grouped(_rows(evaluator, [image], [image]), evaluator.batch_size)


def _rows(
    evaluator: Evaluator, images: Sequence[tuple[int, EvaluationImage]], through: Sequence[tuple[int, EvaluationImage]]
) -> Iterator[SentenceInBatch]:
    """The sentences of numbered images, of which `through` are encoded at once: the same, and more to fill a batch."""
    pixels = np.stack([image.image for _, image in through])  # uint8 (B, S, S, 3)
    with torch.inference_mode():
        features = evaluator.model.encode_image(normalise(torch.from_numpy(pixels).to(evaluator.device))).rows()
    for (place, image), own in zip(images, features, strict=False):
        yield from (SentenceInBatch(place, image.image_id, sentence, own) for sentence in image.sentences)


@torch.inference_mode()
def _score_batch(evaluator: Evaluator, rows: Sequence[SentenceInBatch], protocols: Sequence[str]) -> list[tuple[int, SentenceScore]]:
    if evaluator.fills_batches:
        rows_through: Sequence[SentenceInBatch] = padded(rows, evaluator.batch_size)
        features = ImageFeatures.together([row.features for row in rows_through])
    else:
        rows_through, features = rows, rows[0].features.repeat(len(rows))
    texts = [row.sentence.text for row in rows_through]
    words, keep = evaluator.read(texts)
    logits = evaluator.model.decode(features, words, keep, auxiliary=False).main
    require_numbers(logits, texts)
    return [(row.place, _score_sentence(row, own, protocols, evaluator.keep_masks)) for row, own in zip(rows, logits, strict=False)]


def _score_sentence(row: SentenceInBatch, logits: Tensor, protocols: Sequence[str], keep_mask: bool) -> SentenceScore:
    """Compare a sentence's logits (2, S, S) with its target under each protocol."""
    sentence, masks, overlaps = row.sentence, {}, {}
    for protocol in protocols:
        target = torch.from_numpy(sentence.target if protocol == "paper" else sentence.original)
        masks[protocol] = mask = _mask(logits, target.shape)
        overlaps[protocol] = count(mask, target.to(mask.device) > 0)
    kept = masks["original"] if "original" in masks else masks["paper"]
    rle = coco_rle(kept.numpy(force=True)) if keep_mask else None
    return SentenceScore(sentence.ref_id, sentence.sent_id, row.image_id, sentence.text, overlaps, rle)


def _mask(logits: Tensor, shape: Sequence[int]) -> Tensor:
    """Logits (2, S, S), enlarged where the target's shape (H, W) is another, to a bool mask (H, W)."""
    if logits.shape[-2:] != shape:
        logits = F.interpolate(logits.unsqueeze(0), size=shape, mode="bilinear", align_corners=False)[0]
    return logits[1] > logits[0]
