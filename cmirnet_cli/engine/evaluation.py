"""Scores weights: every sentence of a split once, image-only work once per image, under both protocols at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.sets import EvaluationSet, ImageQuestions, Question, evaluation_images, shuffled_texts
from cmirnet_cli.batches.tokens import tokenise
from cmirnet_cli.batches.transforms import normalise
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.metrics.counts import count
from cmirnet_cli.metrics.scored import Overlap, SentenceScore, SplitScores
from cmirnet_cli.model.segmenter import ReferringModel

__all__ = ["Judge", "SplitScores", "evaluate", "evaluate_split"]


@dataclass(frozen=True)
class Judge:
    """A model ready to be scored: where it runs, how it reads text, how many sentences go through it at once."""

    model: ReferringModel
    tokenizer: PreTrainedTokenizerBase
    tokens: int
    device: torch.device
    batch_size: int = 8
    workers: int = 0


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
    control: bool = False,
    advance: Callable[[int], object] = lambda done: None,
) -> SplitScores:
    """Score a split of a cache; with `control`, once more with the sentences shuffled between referents."""
    sentences = evaluate(judge, EvaluationSet(cache, split, size), protocols, advance)
    shuffled = evaluate(judge, EvaluationSet(cache, split, size, shuffled_texts(cache, split)), protocols, advance) if control else []
    return SplitScores(split, tuple(protocols), tuple(sentences), tuple(shuffled))


@torch.inference_mode()
def _judge_image(judge: Judge, item: ImageQuestions, protocols: Sequence[str]) -> Iterator[SentenceScore]:
    image = torch.from_numpy(item.image).to(judge.device).unsqueeze(0)
    seen = judge.model.network.look(normalise(image))
    for start in range(0, len(item.questions), judge.batch_size):
        questions = item.questions[start : start + judge.batch_size]
        tokens = tokenise(judge.tokenizer, [question.text for question in questions], judge.tokens)
        keep = tokens.keep.to(judge.device)
        words = judge.model.encode(tokens.ids.to(judge.device), keep)
        logits = judge.model.network.locate(seen.repeat(len(questions)), words, keep, words[:, 0], auxiliary=False).main
        for question, row in zip(questions, logits, strict=True):
            overlaps = {protocol: _overlap(row, _target(question, protocol)) for protocol in protocols}
            yield SentenceScore(question.ref_id, question.sent_id, item.image_id, question.text, overlaps)


def _target(question: Question, protocol: str) -> Tensor:
    return torch.from_numpy(question.target if protocol == "paper" else question.original)


def _overlap(logits: Tensor, target: Tensor) -> Overlap:
    """Compare logits (2, S, S), enlarged where the target is larger, with a target (H, W)."""
    if logits.shape[-2:] != target.shape:
        logits = F.interpolate(logits.unsqueeze(0), size=target.shape, mode="bilinear", align_corners=False)[0]
    counts = count(logits[1] > logits[0], target.to(logits.device) > 0)
    return Overlap(int(counts.intersection), int(counts.union))
