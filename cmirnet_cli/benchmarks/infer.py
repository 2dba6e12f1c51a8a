"""Asking a model in several ways: as published, and rewritten; the same questions, timed by turns, mask compared with mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from cmirnet_cli.batches.batch import Tokens
from cmirnet_cli.batches.tokens import tokenise
from cmirnet_cli.batches.transforms import normalise
from cmirnet_cli.engine.devices import most_held_mib
from cmirnet_cli.engine.evaluation.scorable import Judged
from cmirnet_cli.engine.inference import Inference
from cmirnet_cli.engine.prediction.photos import Pixels
from cmirnet_cli.weights.bundle import Bundle

PLAIN, EXACT = "plain", "fp32"
SAME_MASKS = 0.9995
"""Share of pixels on which the exact way must agree with the plain one."""


@dataclass(frozen=True)
class Way:
    """One way of computing.

    Attributes:
        name: as the table has it.
        prepare: makes of a bundle the model to be asked in this way; it may take the bundle's over.
        every_head: whether every head is computed, and one image and one sentence a forward, as published.
    """

    name: str
    prepare: Callable[[Bundle, torch.device], Judged]
    every_head: bool = False

    @classmethod
    def of(cls, name: str, inference: Inference, *, every_head: bool = False) -> Way:
        """In a number format, with rewrites."""
        return cls(name, lambda bundle, device: inference.prepare(bundle, device).model, every_head)


@dataclass(frozen=True)
class Asked:
    """An image, uint8 (1, S, S, 3), and its expressions, all on the device."""

    image: Tensor
    tokens: Tokens


def asked(bundle: Bundle, questions: Sequence[tuple[Pixels, Sequence[str]]], device: torch.device) -> list[Asked]:
    """Photos, uint8 (S, S, 3), with their expressions, as a model takes them."""
    made = []
    for pixels, expressions in questions:
        tokens = tokenise(bundle.tokenizer, expressions, bundle.config.tokens).to(device)
        made.append(Asked(torch.from_numpy(pixels).unsqueeze(0).to(device), tokens))
    return made


@torch.inference_mode()
def answer(way: Way, model: Judged, asked: Asked) -> Tensor:
    """Logits (n, 2, S, S) of the n expressions about one image."""
    ids, keep = asked.tokens.ids, asked.tokens.keep
    image = normalise(asked.image)
    if way.every_head:
        rows = [Tokens(ids[row : row + 1], keep[row : row + 1]) for row in range(len(ids))]
        return torch.cat([_logits(model, image, row, auxiliary=True) for row in rows])
    return _logits(model, image, asked.tokens, auxiliary=False)


def _logits(model: Judged, image: Tensor, tokens: Tokens, *, auxiliary: bool) -> Tensor:
    words = model.encode(tokens.ids, tokens.keep)
    return model.locate(model.look(image).repeat(len(words)), words, tokens.keep, auxiliary=auxiliary).main


def answer_all(way: Way, model: Judged, questions: Sequence[Asked]) -> list[Tensor]:
    """`answer` for every image, computed to the end."""
    logits = [answer(way, model, each) for each in questions]
    if (device := logits[0].device).type != "cpu":
        torch.accelerator.synchronize(device)
    return logits


@dataclass(frozen=True)
class Agreement:
    """How far logits and masks are from those of the plain way.

    Attributes:
        pixels: share of pixels that have the same class.
        iou: ΣI/ΣU of the masks of both; 1 where both are empty everywhere.
        error: the largest difference of two logits in standard deviations of the plain ones.
    """

    pixels: float
    iou: float
    error: float

    @classmethod
    def of(cls, found: Sequence[Tensor], plain: Sequence[Tensor]) -> Agreement:
        """Of logits (n, 2, S, S) image by image."""
        ours, theirs = torch.cat(list(found)).float(), torch.cat(list(plain)).float()
        mine, yours = ours[:, 1] > ours[:, 0], theirs[:, 1] > theirs[:, 0]
        union = int((mine | yours).sum())
        iou = int((mine & yours).sum()) / union if union else 1.0
        return cls(float((mine == yours).float().mean()), iou, float((ours - theirs).abs().max() / theirs.std()))


def disagreement(agreements: Mapping[str, Agreement]) -> str | None:
    """What is wrong with an exact way that is none, and what to do now; None if its masks are those of the plain way."""
    share = agreements[EXACT].pixels
    if share >= SAME_MASKS:
        return None
    told = f"{EXACT} agrees with the plain way on {share:.3%} of the pixels only, {SAME_MASKS:.2%} are required"
    return f"{told}: measure the rewrites one by one with --each, and report it with the machine"


def own_copies(bundle: Bundle, ways: Sequence[Way], device: torch.device) -> Mapping[str, Judged]:
    """A model for each way; the bundle's own serves none of them."""
    return {way.name: way.prepare(Bundle(deepcopy(bundle.model), bundle.tokenizer, bundle.config), device) for way in ways}


def memory_of(way: Way, bundle: Bundle, questions: Sequence[Asked], device: torch.device) -> float:
    """Peak memory in MiB of asking in one way: of the GPU where there is one, else of this process, which should be a fresh one."""
    model = way.prepare(bundle, device)
    answer_all(way, model, questions)
    return most_held_mib(device)
