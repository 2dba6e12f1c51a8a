"""Scores weights: every sentence of a split once, image-only work once per image, under both protocols at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.sets import EvaluationSet, ImageQuestions, Question, evaluation_images
from cmirnet_cli.batches.tokens import tokenise
from cmirnet_cli.batches.transforms import normalise
from cmirnet_cli.cache.features_reader import TextFeatures
from cmirnet_cli.cache.pixels import encode_mask
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.engine.controls import control_set
from cmirnet_cli.engine.facts import referent_facts
from cmirnet_cli.metrics.counts import count
from cmirnet_cli.metrics.scored import Overlap, SentenceScore, SplitScores
from cmirnet_cli.model.segmenter import ReferringModel

__all__ = ["Judge", "SplitScores", "evaluate", "evaluate_split"]


@dataclass(frozen=True)
class Judge:
    """A model ready to be scored: where it runs, how it reads text, how many sentences go through it at once.

    With `keep_masks` each sentence's score holds its mask; the protocol `original` must then be among those asked for.
    `features` are what its text encoder makes of every sentence of the cache; None: it is asked.
    """

    model: ReferringModel
    tokenizer: PreTrainedTokenizerBase
    tokens: int
    device: torch.device
    batch_size: int = 8
    workers: int = 0
    keep_masks: bool = False
    features: TextFeatures | None = None

    def read(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Words float (n, T, D) and keep bool (n, T) of n expressions, on the device."""
        tokens = tokenise(self.tokenizer, texts, self.tokens)
        keep = tokens.keep.to(self.device)
        if self.features is not None:
            return torch.from_numpy(self.features.words(texts)).to(self.device), keep
        return self.model.encode(tokens.ids.to(self.device), keep), keep


def evaluate(
    judge: Judge, samples: Dataset[ImageQuestions], protocols: Sequence[str], advance: Callable[[int], object] = lambda done: None
) -> list[SentenceScore]:
    """Score every sentence of the set; `advance` is told how many sentences were done."""
    scores: list[SentenceScore] = []
    for found in judged_images(judge, samples, protocols):
        scores += found
        advance(len(found))
    return scores


def judged_images(judge: Judge, samples: Dataset[ImageQuestions], protocols: Sequence[str]) -> Iterator[list[SentenceScore]]:
    """The scores of each image's sentences, image by image."""
    judge.model.eval()
    for item in evaluation_images(samples, judge.workers):
        yield list(_judge_image(judge, item, protocols))


def evaluate_split(
    judge: Judge,
    cache: Cache,
    split: str,
    size: int,
    protocols: Sequence[str],
    *,
    controls: Sequence[str] = (),
    advance: Callable[[int], object] = lambda done: None,
) -> SplitScores:
    """Score a split of a cache, and once more for each of `controls` (names of `metrics.scored.CONTROLS`), whose masks are not kept."""
    sentences = evaluate(judge, EvaluationSet(cache, split, size), protocols, advance)
    lean = replace(judge, keep_masks=False)
    controlled = {name: tuple(evaluate(lean, control_set(name, cache, split, size), protocols, advance)) for name in controls}
    return SplitScores(split, tuple(protocols), tuple(sentences), controlled, referent_facts(cache, split))


@torch.inference_mode()
def _judge_image(judge: Judge, item: ImageQuestions, protocols: Sequence[str]) -> Iterator[SentenceScore]:
    image = torch.from_numpy(item.image).to(judge.device).unsqueeze(0)
    seen = judge.model.network.look(normalise(image))
    for start in range(0, len(item.questions), judge.batch_size):
        questions = item.questions[start : start + judge.batch_size]
        words, keep = judge.read([question.text for question in questions])
        logits = judge.model.network.locate(seen.repeat(len(questions)), words, keep, words[:, 0], auxiliary=False).main
        for question, row in zip(questions, logits, strict=True):
            yield _judge_sentence(question, item.image_id, row, protocols, judge.keep_masks)


def _judge_sentence(question: Question, image_id: str, logits: Tensor, protocols: Sequence[str], keep_mask: bool) -> SentenceScore:
    targets = {protocol: _target(question, protocol) for protocol in protocols}
    masks = {protocol: _mask(logits, target) for protocol, target in targets.items()}
    overlaps = {protocol: _overlap(masks[protocol], target) for protocol, target in targets.items()}
    rle = _rle(masks["original"]) if keep_mask else None
    return SentenceScore(question.ref_id, question.sent_id, image_id, question.text, overlaps, rle)


def _target(question: Question, protocol: str) -> Tensor:
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


def _rle(mask: Tensor) -> dict[str, Any]:
    """COCO's RLE of a bool mask (H, W): `size` [H, W] and `counts` as text."""
    return {"size": list(mask.shape), "counts": encode_mask(mask.cpu().numpy().astype(np.uint8)).decode("ascii")}
