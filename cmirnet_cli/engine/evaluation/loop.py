"""Scores weights: every sentence of a split once, under both protocols at a time.

Image-only work is done once for each image, and sentences go through the network in batches that reach across images. All batches have
the same number of rows, so on a CPU a sentence's mask is the same to the last pixel whatever else is asked, in whatever order and by
however many processes. With other batch sizes the last bits of logits differ: pixels whose two logits tie within these may change sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.rows import filled, grouped
from cmirnet_cli.batches.sets import EvaluationImage, EvaluationSentence, EvaluationSet, evaluation_images
from cmirnet_cli.batches.tokens import tokenise
from cmirnet_cli.batches.transforms import normalise
from cmirnet_cli.cache.features_reader import TextFeatures
from cmirnet_cli.cache.pixels import coco_rle
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.engine.evaluation.controls import control_set
from cmirnet_cli.engine.evaluation.facts import referent_stats
from cmirnet_cli.engine.evaluation.scorable import ReferringModelLike
from cmirnet_cli.engine.shards import ALONE, Shard
from cmirnet_cli.metrics.counts import count
from cmirnet_cli.metrics.sentences import Overlap, SentenceScore, SplitScores
from cmirnet_cli.model.features import ImageFeatures

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
