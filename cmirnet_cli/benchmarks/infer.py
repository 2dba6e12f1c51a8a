"""Asking a model in several ways: as published, and optimized; the same questions, timed by turns, mask compared with mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cmirnet_cli.batches.batch import Tokens, normalise, tokenise
from cmirnet_cli.benchmarks.timing import Timing
from cmirnet_cli.engine.devices import finish_on, has_bf16, most_held_mib
from cmirnet_cli.engine.evaluation.loop import ReferringModelLike
from cmirnet_cli.engine.inference import AS_PUBLISHED, AUTO, Inference
from cmirnet_cli.errors import UsageError
from cmirnet_cli.export.folder import ExportSource, require_libraries, write_export
from cmirnet_cli.export.preprocessing import ExportSample, Samples
from cmirnet_cli.export.runtime import ExportedModel
from cmirnet_cli.export.scoring import ExportedReferring
from cmirnet_cli.export.spec import ExportOptions, ExportPrecision, read_spec
from cmirnet_cli.images.pixels import Pixels
from cmirnet_cli.model.fast.optimizations import COMPILE, OPTIMIZATIONS, Precision
from cmirnet_cli.model.features import ImageFeatures
from cmirnet_cli.scenes import drawn_questions
from cmirnet_cli.weights.bundle import Bundle
from cmirnet_cli.weights.source import fingerprint

PLAIN, ONE_HEAD, EXACT = "plain", "one head", "fp32"
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
    prepare: Callable[[Bundle, torch.device], ReferringModelLike]
    every_head: bool = False

    @classmethod
    def of(cls, name: str, inference: Inference, *, every_head: bool = False) -> Way:
        """In a number format, with optimizations."""
        return cls(name, lambda bundle, device: inference.prepare(bundle, device).model, every_head)


def ways(device: torch.device, *, each: bool, compiled: bool) -> list[Way]:
    """The plain way and ours; bf16 where the device has instructions for it.

    Args:
        device: where they are compared.
        each: whether every optimization is made alone, too.
        compiled: whether the network is compiled, too, in bf16 if there is bf16.
    """
    made = [Way.of(PLAIN, AS_PUBLISHED, every_head=True), Way.of(ONE_HEAD, AS_PUBLISHED)]
    if each:
        made += [Way.of(name, Inference(optimizations=(name,))) for name in OPTIMIZATIONS if name != COMPILE]
    formats: list[Precision] = ["fp32", "bf16"] if has_bf16(device) else ["fp32"]
    made += [Way.of(precision, Inference(precision)) for precision in formats]
    if compiled:
        made.append(Way.of(f"{formats[-1]}, compiled", Inference(formats[-1], (AUTO, COMPILE))))
    return made


@dataclass(frozen=True)
class InferenceBatch:
    """Images, uint8 (b, S, S, 3), and the n expressions that each of them is asked about, all on the device."""

    images: Tensor
    tokens: Tokens

    def __len__(self) -> int:
        return len(self.images) * len(self.tokens.ids)

    def one_by_one(self) -> Iterator[InferenceBatch]:
        """Every image with every expression."""
        for image in self.images:
            for ids, keep in zip(self.tokens.ids, self.tokens.keep, strict=True):
                yield InferenceBatch(image.unsqueeze(0), Tokens(ids.unsqueeze(0), keep.unsqueeze(0)))


def inference_batches(
    bundle: Bundle, photos: Sequence[Pixels], expressions: Sequence[str], device: torch.device, together: int = 1
) -> list[InferenceBatch]:
    """Photos, uint8 (S, S, 3), so many at once, and what is asked about each, as a model takes them."""
    tokens = tokenise(bundle.tokenizer, expressions, bundle.config.tokens).to(device)
    batches = [np.stack(photos[first : first + together]) for first in range(0, len(photos), together)]
    return [InferenceBatch(torch.from_numpy(batch).to(device), tokens) for batch in batches]


@torch.inference_mode()
def answer(way: Way, model: ReferringModelLike, batch: InferenceBatch) -> Tensor:
    """Logits (b·n, 2, S, S) of the n expressions about the first image, about the second and so on."""
    if way.every_head:
        return torch.cat([_logits(model, one, auxiliary=True) for one in batch.one_by_one()])
    return _logits(model, batch, auxiliary=False)


def _logits(model: ReferringModelLike, batch: InferenceBatch, *, auxiliary: bool) -> Tensor:
    images, expressions = len(batch.images), len(batch.tokens.ids)
    ids, keep = batch.tokens.ids.repeat(images, 1), batch.tokens.keep.repeat(images, 1)
    rows = [row.repeat(expressions) for row in model.encode_image(normalise(batch.images)).rows()]
    features = rows[0] if images == 1 else ImageFeatures.together(rows)
    return model.decode(features, model.encode_text(ids, keep), keep, auxiliary=auxiliary).main


def answer_all(way: Way, model: ReferringModelLike, questions: Sequence[InferenceBatch]) -> list[Tensor]:
    """`answer` for all images, computed to the end."""
    logits = [answer(way, model, each) for each in questions]
    finish_on(logits[0].device)
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
        """Of logits (n, 2, S, S) batch by batch."""
        ours, theirs = torch.cat(list(found)).float(), torch.cat(list(plain)).float()
        mine, yours = ours[:, 1] > ours[:, 0], theirs[:, 1] > theirs[:, 0]
        union = int((mine | yours).sum())
        iou = int((mine & yours).sum()) / union if union else 1.0
        return cls(float((mine == yours).float().mean()), iou, float((ours - theirs).abs().max() / theirs.std()))


@dataclass(frozen=True)
class WayResult:
    """What came of asking in several ways, by the ways' names.

    Attributes:
        timings: of all expressions.
        agreements: with the plain way.
        memory_mib: at its peak, each way in a fresh process.
        gflops: 10⁹ operations that one expression takes, when no head but the finest is computed.
        peak_gflops: 10⁹ operations a second of a large matrix product on the same device, by number format.
    """

    timings: Mapping[str, Timing]
    agreements: Mapping[str, Agreement]
    memory_mib: Mapping[str, float]
    gflops: float
    peak_gflops: Mapping[str, float]

    def gflops_per_second(self, name: str) -> float:
        """10⁹ operations a second that one way comes to, counted as the plain network with one head needs them."""
        return self.gflops * self.timings[name].per_second


def disagreement(agreements: Mapping[str, Agreement]) -> str | None:
    """What is wrong with an exact way that is none, and what to do now; None if its masks are those of the plain way."""
    share = agreements[EXACT].pixels
    if share >= SAME_MASKS:
        return None
    told = f"{EXACT} agrees with the plain way on {share:.3%} of the pixels only, {SAME_MASKS:.2%} are required"
    return f"{told}: measure the optimizations one by one with --each, and report it with the machine"


def own_copies(bundle: Bundle, ways: Sequence[Way], device: torch.device) -> Mapping[str, ReferringModelLike]:
    """A model for each way; the bundle's own serves none of them."""
    return {way.name: way.prepare(Bundle(deepcopy(bundle.model), bundle.tokenizer, bundle.config), device) for way in ways}


def memory_of(way: Way, bundle: Bundle, questions: Sequence[InferenceBatch], device: torch.device) -> float:
    """Peak memory in MiB of asking in one way: of the GPU where there is one, else of this process, which should be a fresh one."""
    model = way.prepare(bundle, device)
    answer_all(way, model, questions)
    return most_held_mib(device)


CALIBRATING = 8
"""Drawn scenes from which int8 takes the ranges of activations: random weights have no ranges worth more."""


def exported_way(name: str, folder: Path) -> Way:
    """An export under a name for the table, through ONNX Runtime on the CPU; the weights are not used."""
    return Way(name, lambda bundle, device: ExportedReferring(ExportedModel.open(folder, "cpu")))


def require_made_from(folder: Path, weights: str | None) -> None:
    """Refuse an export of other weights.

    Raises:
        UsageError: it was made from others.
        ExportError: it is damaged.
    """
    if weights is None or read_spec(folder).origin.sha256 != fingerprint(weights):
        raise UsageError(f"{folder} was not exported from {weights or 'random weights'}", hint="give its own weights as WEIGHTS")


def export_random(load: Callable[[], Bundle], expressions: Sequence[str], precision: ExportPrecision, folder: Path) -> None:
    """Export random weights as one ONNX graph; int8 is calibrated on drawn scenes, with the expressions asked about them.

    The graph is not held to any agreement: masks of random weights lie on the border between both classes, and the benchmark says how many
    pixels are the same.

    Raises:
        ExportError: it cannot be written, or needs packages that are not installed.
    """
    scenes = drawn_questions(CALIBRATING, load().config.image_size)
    asked = tuple(ExportSample(pixels, expressions[number % len(expressions)]) for number, (pixels, _) in enumerate(scenes))
    wanted = ExportOptions("onnx", precision)
    require_libraries(wanted.format)
    folder.mkdir()
    write_export(ExportSource("random weights", "", load), folder, wanted, Samples("drawn scenes", (), asked))
