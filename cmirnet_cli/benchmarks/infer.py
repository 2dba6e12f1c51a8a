"""Prediction in several ways, as published and optimized: the same images and expressions, timed by turns, mask compared with mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cmirnet_cli.batches.batch import Tokens, normalise, tokenise
from cmirnet_cli.benchmarks.peers import Export
from cmirnet_cli.benchmarks.stand_ins import random_bundle
from cmirnet_cli.benchmarks.timing import Progress, Timing, gflops_of, matrix_product_gflops, side_by_side
from cmirnet_cli.config.published import family
from cmirnet_cli.engine.devices import finish_on, has_bf16, most_held_mib, pick_device
from cmirnet_cli.engine.environment import in_fresh_process
from cmirnet_cli.engine.evaluation.loop import ReferringModelLike
from cmirnet_cli.engine.inference import AS_PUBLISHED, Inference
from cmirnet_cli.engine.prediction.photo_files import find_photos
from cmirnet_cli.engine.prediction.photos import read_photo
from cmirnet_cli.export.scoring import ExportedReferring
from cmirnet_cli.images.pixels import Pixels, resized
from cmirnet_cli.model.fast.names import AUTO, COMPILE, INSIDE_THE_BACKBONE
from cmirnet_cli.model.fast.optimizations import Precision, possible_on
from cmirnet_cli.model.features import ImageFeatures
from cmirnet_cli.scenes import drawn_pairs
from cmirnet_cli.weights.bundle import Bundle
from cmirnet_cli.weights.source import load_weights

PLAIN, ONE_HEAD, EXACT = "plain", "one head", "fp32"
SAME_MASKS = 0.9995
"""Share of pixels on which the exact way must agree with the plain one."""
SCENE = 640
"""Side of a drawn scene, in pixels."""


@dataclass(frozen=True)
class InferenceRequest:
    """What is predicted with what, and in which ways; every process of a benchmark makes the same of it.

    Attributes:
        weights: as `load_weights` takes them; random ones where None.
        backbone, size: of random weights.
        images: a folder of photographs; drawn scenes where None.
        expressions: about every image.
        count: of the images.
        batch_size: images at once, but in the plain way.
        device: as `pick_device` takes it.
        each: whether every optimization is made alone, too.
        compiled: whether the network is compiled, too, in bf16 if there is bf16.
        exports: those that are compared, too.
    """

    weights: str | None
    backbone: str
    size: int | None
    images: Path | None
    expressions: tuple[str, ...]
    count: int
    batch_size: int
    device: str
    each: bool
    compiled: bool
    exports: tuple[Export, ...] = ()

    def load(self) -> Bundle:
        """The model, the same each time."""
        return load_weights(self.weights) if self.weights else random_bundle(self.backbone, self.size, self.expressions)

    def photos(self, size: int) -> list[Pixels]:
        """Images uint8 (S, S, 3) of one size."""
        if self.images:
            photos = [read_photo(photo.path).pixels for photo in find_photos([str(self.images)]).photos[: self.count]]
        else:
            photos = [pixels for pixels, _ in drawn_pairs(self.count, SCENE)]
        return [resized(pixels, size, size) for pixels in photos]

    def prepare(self) -> tuple[Bundle, list[InferenceBatch], torch.device]:
        """The model, what it predicts, and where."""
        place, bundle = pick_device(self.device), self.load()
        photos = self.photos(bundle.config.image_size)
        return bundle, inference_batches(bundle, photos, self.expressions, place, self.batch_size), place


@dataclass(frozen=True)
class Way:
    """One way of computing.

    Attributes:
        name: as the table has it.
        prepare: makes of a bundle the model that predicts in this way; it may take the bundle's over.
        every_head: whether every head is computed, and one image and one sentence a forward, as published.
    """

    name: str
    prepare: Callable[[Bundle, torch.device], ReferringModelLike]
    every_head: bool = False

    @classmethod
    def of(cls, name: str, inference: Inference, *, every_head: bool = False) -> Way:
        """In a number format, with optimizations."""
        return cls(name, lambda bundle, device: inference.prepare(bundle, device).model, every_head)

    @classmethod
    def exported(cls, export: Export) -> Way:
        """An export on the CPU; the weights are not used."""
        return cls(export.name, lambda bundle, device: ExportedReferring(export.open()))


def ways_of(request: InferenceRequest) -> list[Way]:
    """The plain way and ours; bf16 where the device has instructions for it."""
    ways = [Way.of(PLAIN, AS_PUBLISHED, every_head=True), Way.of(ONE_HEAD, AS_PUBLISHED)]
    if request.each:
        foreign = request.weights is None and family(request.backbone) == "timm"
        left_out = (COMPILE, *([INSIDE_THE_BACKBONE] if foreign else []))
        ways += [
            Way.of(name, Inference(optimizations=(name,))) for name in possible_on(pick_device(request.device)) if name not in left_out
        ]
    formats: list[Precision] = ["fp32", "bf16"] if has_bf16(pick_device(request.device)) else ["fp32"]
    ways += [Way.of(precision, Inference(precision)) for precision in formats]
    if request.compiled:
        ways.append(Way.of(f"{formats[-1]}, compiled", Inference(formats[-1], (AUTO, COMPILE))))
    return [*ways, *map(Way.exported, request.exports)]


@dataclass(frozen=True)
class InferenceBatch:
    """Images, uint8 (b, S, S, 3), and the n expressions about each of them, all on the device."""

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
    bundle: Bundle, photos: Sequence[Pixels], expressions: Sequence[str], device: torch.device, batch_size: int = 1
) -> list[InferenceBatch]:
    """Photos, uint8 (S, S, 3), and the expressions about each, as a model takes them."""
    tokens = tokenise(bundle.tokenizer, expressions, bundle.config.tokens).to(device)
    batches = [np.stack(photos[first : first + batch_size]) for first in range(0, len(photos), batch_size)]
    return [InferenceBatch(torch.from_numpy(batch).to(device), tokens) for batch in batches]


@torch.inference_mode()
def predict_batch(way: Way, model: ReferringModelLike, batch: InferenceBatch) -> Tensor:
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


def predict_all(way: Way, model: ReferringModelLike, batches: Sequence[InferenceBatch]) -> list[Tensor]:
    """`predict_batch` for all batches, computed to the end."""
    logits = [predict_batch(way, model, batch) for batch in batches]
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
    def of(cls, logits: Sequence[Tensor], plain: Sequence[Tensor]) -> Agreement:
        """Of logits (n, 2, S, S) batch by batch."""
        ours, theirs = torch.cat(list(logits)).float(), torch.cat(list(plain)).float()
        our_masks, their_masks = ours[:, 1] > ours[:, 0], theirs[:, 1] > theirs[:, 0]
        union = int((our_masks | their_masks).sum())
        iou = int((our_masks & their_masks).sum()) / union if union else 1.0
        return cls(float((our_masks == their_masks).float().mean()), iou, float((ours - theirs).abs().max() / theirs.std()))


def disagreement(agreements: Mapping[str, Agreement]) -> str | None:
    """A warning with what to do now if the masks of the exact way are not those of the plain way."""
    share = agreements[EXACT].pixels
    if share >= SAME_MASKS:
        return None
    warning = f"{EXACT} agrees with the plain way on only {share:.3%} of the pixels, and {SAME_MASKS:.2%} are required"
    return f"{warning}: measure the optimizations one by one with --each, and report it with the machine"


@dataclass(frozen=True)
class InferenceComparison:
    """What the ways came to, by their names.

    Attributes:
        images: how many there were.
        device: where they were predicted.
        timings: of all expressions.
        agreements: with the plain way.
        memory_mib: at its peak, each way in a fresh process.
        gflops: 10⁹ operations that one expression takes, when no head but the finest is computed.
        peak_gflops: 10⁹ operations a second of a large matrix product on the same device, by number format.
    """

    images: int
    device: torch.device
    timings: Mapping[str, Timing]
    agreements: Mapping[str, Agreement]
    memory_mib: Mapping[str, float]
    gflops: float
    peak_gflops: Mapping[str, float]

    def gflops_per_second(self, name: str) -> float:
        """10⁹ operations a second that one way comes to, counted as the plain network with one head needs them."""
        return self.gflops * self.timings[name].per_second


def compare_inference(request: InferenceRequest, rounds: int, progress: Progress) -> InferenceComparison:
    """Predict in every way: compare the logits, take the time, count the arithmetic, then measure each way's memory."""
    bundle, batches, place = request.prepare()
    ways = ways_of(request)
    models = own_copies(bundle, ways, place)
    runs = {way.name: partial(predict_all, way, models[way.name], batches) for way in ways}
    logits = {}
    with progress("compare", len(ways)) as advance:
        for name, run in runs.items():
            logits[name] = run()
            advance(1)
    agreements = {name: Agreement.of(each, logits[PLAIN]) for name, each in logits.items()}
    items = sum(map(len, batches))
    with progress("time", rounds * len(ways)) as advance:
        timings = side_by_side(runs, items, rounds, advance=advance)
    gflops, peaks = gflops_of(runs[ONE_HEAD]) / items, matrix_product_gflops(place)
    del bundle, models, runs, logits
    memory = {}
    with progress("memory", len(ways)) as advance:
        for way in ways:
            memory[way.name] = in_fresh_process(peak_memory_of, request, way.name)
            advance(1)
    return InferenceComparison(sum(len(batch.images) for batch in batches), place, timings, agreements, memory, gflops, peaks)


def own_copies(bundle: Bundle, ways: Sequence[Way], device: torch.device) -> Mapping[str, ReferringModelLike]:
    """A model for each way; the bundle's own serves none of them."""
    return {way.name: way.prepare(Bundle(deepcopy(bundle.model), bundle.tokenizer, bundle.config), device) for way in ways}


def peak_memory_of(request: InferenceRequest, name: str) -> float:
    """Peak memory in MiB of one way: of the GPU where there is one, else of this process, which should be a fresh one."""
    bundle, batches, place = request.prepare()
    way = next(way for way in ways_of(request) if way.name == name)
    predict_all(way, way.prepare(bundle, place), batches)
    return most_held_mib(place)
