"""Scores weights: every sentence of a split once, under both protocols at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from operator import itemgetter
from types import MappingProxyType
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import IMAGENET_MEAN, normalise, tokenise
from cmirnet_cli.batches.datasets import EvaluationImage, EvaluationSentence, EvaluationSet, evaluation_images, shuffled_texts
from cmirnet_cli.batches.rows import filled, grouped
from cmirnet_cli.cache.features import TextFeatures
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.engine.shards import ALONE, Shard
from cmirnet_cli.images.masks import coco_rle
from cmirnet_cli.metrics.counts import count
from cmirnet_cli.metrics.sentences import Overlap, ReferentStats, SentenceScore, SplitScores
from cmirnet_cli.model.features import ImageFeatures, Logits


class ReferringModelLike(Protocol):
    """As much of `ReferringModel` as scoring needs."""

    def encode_text(self, ids: Tensor, keep: Tensor) -> Tensor:
        """As `ReferringModel.encode`."""

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """As `ReferringModel.encode_image`."""

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, *, auxiliary: bool) -> Logits:
        """As `ReferringModel.decode`."""

    def eval(self) -> object:
        """Make it ready to be scored."""


GREY = tuple(round(255 * mean) for mean in IMAGENET_MEAN)
"""The colour, uint8 RGB, whose normalised value is nearest to 0 in each channel: ImageNet's mean."""


class GreyImages(EvaluationSet):
    """The same questions about an even grey in place of each image; targets stay."""

    def __getitem__(self, item: int) -> EvaluationImage:
        asked = super().__getitem__(item)
        return replace(asked, image=np.broadcast_to(np.array(GREY, np.uint8), asked.image.shape).copy())


def _shuffled(cache: Cache, split: str, size: int) -> EvaluationSet:
    return EvaluationSet(cache, split, size, shuffled_texts(cache, split))


_SETS: Mapping[str, Callable[[Cache, str, int], EvaluationSet]] = MappingProxyType({"shuffled-text": _shuffled, "no-image": GreyImages})


def control_set(control: str, cache: Cache, split: str, size: int) -> EvaluationSet:
    """The questions of one of `metrics.scored.CONTROLS`, sentence by sentence in the order of `EvaluationSet`.

    Raises:
        KeyError: there is no such control.
    """
    return _SETS[control](cache, split, size)


def referent_stats(cache: Cache, split: str) -> dict[int, ReferentStats]:
    """`ref_id` → facts, for every referent of a split.

    A distractor is another mask that a referent of the same image and category has, in whatever split; two referents with one mask are
    one object. Where referents are several objects at once (gRefCOCO), each combination counts as one, so the number is a rough one.
    """
    asked = set(cache.referents(split).tolist())
    images = {cache.referent(row).image_row for row in asked}
    facts: dict[int, tuple[int, str, tuple[int, str], bytes]] = {}
    objects: dict[tuple[int, str], set[bytes]] = defaultdict(set)
    for row in sorted({row for each in cache.splits for row in cache.referents(each).tolist()}):
        referent = cache.referent(row)
        if referent.image_row not in images:
            continue
        mask = cache.mask(row, None)
        kind, outline = (referent.image_row, referent.category), blake2b(mask.tobytes(), digest_size=16).digest()
        objects[kind].add(outline)
        if row in asked:
            facts[referent.ref_id] = int(mask.sum()), referent.category, kind, outline
    return {
        ref_id: ReferentStats(area, category, len(objects[kind] - {outline})) for ref_id, (area, category, kind, outline) in facts.items()
    }


Advance = Callable[[int], object]
"""Told how many more sentences are done."""


@dataclass(frozen=True)
class Evaluator:
    """A model ready to be scored: where it runs, how it reads text, how many images or sentences go through it at once.

    With `keep_masks` each sentence's score holds its mask; the protocol `original` must then be among those asked for.
    `features` are what its text encoder makes of every sentence of the cache; None: it is asked.
    """

    model: ReferringModelLike
    tokenizer: PreTrainedTokenizerBase
    tokens: int
    device: torch.device
    batch_size: int = 8
    workers: int = 0
    keep_masks: bool = False
    features: TextFeatures | None = None

    def read(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Words float (n, T, D) and keep bool (n, T) of n expressions, on the device."""
        tokens = tokenise(self.tokenizer, texts, self.tokens).to(self.device)
        if self.features is not None:
            return torch.from_numpy(self.features.words(texts)).to(self.device), tokens.keep
        return self.model.encode_text(tokens.ids, tokens.keep), tokens.keep


@dataclass(frozen=True)
class SentenceInBatch:
    """A question, the image it is about (its place in the set, its id), and what was seen of that image."""

    place: int
    image_id: str
    question: EvaluationSentence
    seen: ImageFeatures


def evaluate(
    evaluator: Evaluator, samples: EvaluationSet, protocols: Sequence[str], advance: Advance = lambda done: None, shard: Shard = ALONE
) -> list[SentenceScore]:
    """Score every sentence of the set, in its order; each of several processes scores its part of the images and has all scores."""
    mine = shard.part(range(len(samples)))
    found: list[tuple[int, SentenceScore]] = []
    for scores in scored_batches(evaluator, Subset(samples, mine), protocols):
        found += [(mine[place], score) for place, score in scores]
        advance(len(scores))
    return [score for _, score in sorted(shard.gather(found), key=itemgetter(0))]


def scored_batches(
    evaluator: Evaluator, samples: Dataset[EvaluationImage], protocols: Sequence[str]
) -> Iterator[list[tuple[int, SentenceScore]]]:
    """The scores of all sentences in their order, batch by batch; with each the place of its image in the set."""
    evaluator.model.eval()
    for asked in grouped(_questions(evaluator, evaluation_images(samples, evaluator.workers)), evaluator.batch_size):
        yield _score_batch(evaluator, asked, protocols)


@contextmanager
def _unwatched(total: int) -> Iterator[Advance]:
    yield lambda done: None


def evaluate_split(
    evaluator: Evaluator,
    cache: Cache,
    split: str,
    size: int,
    protocols: Sequence[str],
    *,
    controls: Sequence[str] = (),
    progress: Callable[[int], AbstractContextManager[Advance]] = _unwatched,
    shard: Shard = ALONE,
) -> SplitScores:
    """Score a split of a cache, and once more for each of `controls` (names of `metrics.scored.CONTROLS`), whose masks are not kept.

    `progress` is opened with the number of sentences that this process scores.
    """
    samples, lean = EvaluationSet(cache, split, size), replace(evaluator, keep_masks=False)
    total = samples.sentence_count(shard.part(range(len(samples))))
    with progress(total * (1 + len(controls))) as advance:
        sentences = evaluate(evaluator, samples, protocols, advance, shard)
        controlled = {name: tuple(evaluate(lean, control_set(name, cache, split, size), protocols, advance, shard)) for name in controls}
    return SplitScores(split, tuple(protocols), tuple(sentences), controlled, referent_stats(cache, split))


def _questions(evaluator: Evaluator, images: Iterable[EvaluationImage]) -> Iterator[SentenceInBatch]:
    """The questions about images, which are looked at a batch at a time; what was seen of more than two batches is never kept."""
    for group in grouped(enumerate(images), evaluator.batch_size):
        rows = _look(evaluator, [item.image for _, item in group])
        for (place, item), seen in zip(group, rows, strict=False):
            yield from (SentenceInBatch(place, item.image_id, question, seen) for question in item.questions)


@torch.inference_mode()
def _look(evaluator: Evaluator, images: Sequence[NDArray[np.uint8]]) -> list[ImageFeatures]:
    """What the text-free part of the network sees of images (S, S, 3), and of the last one again where they are few."""
    stacked = torch.from_numpy(np.stack(filled(images, evaluator.batch_size))).to(evaluator.device)
    return evaluator.model.encode_image(normalise(stacked)).rows()


@torch.inference_mode()
def _score_batch(evaluator: Evaluator, asked: Sequence[SentenceInBatch], protocols: Sequence[str]) -> list[tuple[int, SentenceScore]]:
    rows = filled(asked, evaluator.batch_size)
    words, keep = evaluator.read([each.question.text for each in rows])
    seen = ImageFeatures.together([each.seen for each in rows])
    logits = evaluator.model.decode(seen, words, keep, auxiliary=False).main
    return [
        (each.place, _score_sentence(each.question, each.image_id, row, protocols, evaluator.keep_masks))
        for each, row in zip(asked, logits, strict=False)
    ]


def _score_sentence(
    question: EvaluationSentence, image_id: str, logits: Tensor, protocols: Sequence[str], keep_mask: bool
) -> SentenceScore:
    targets = {protocol: _target(question, protocol) for protocol in protocols}
    masks = {protocol: _mask(logits, target) for protocol, target in targets.items()}
    overlaps = {protocol: _overlap(masks[protocol], target) for protocol, target in targets.items()}
    rle = coco_rle(masks["original"].numpy(force=True)) if keep_mask else None
    return SentenceScore(question.ref_id, question.sent_id, image_id, question.text, overlaps, rle)


def _target(question: EvaluationSentence, protocol: str) -> Tensor:
    return torch.from_numpy(question.target if protocol == "paper" else question.original)


def _mask(logits: Tensor, target: Tensor) -> Tensor:
    """Logits (2, S, S), enlarged where the target (H, W) is larger, to a bool mask (H, W)."""
    if logits.shape[-2:] != target.shape:
        logits = F.interpolate(logits.unsqueeze(0), size=target.shape, mode="bilinear", align_corners=False)[0]
    return logits[1] > logits[0]


def _overlap(mask: Tensor, target: Tensor) -> Overlap:
    """Compare a bool mask (H, W) with a target (H, W)."""
    counts = count(mask, target.to(mask.device) > 0)
    return Overlap(int(counts.intersection), int(counts.union), int(mask.sum()))
