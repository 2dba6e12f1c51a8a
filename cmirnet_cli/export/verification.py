"""Reads an export back from the disk and proves that it computes what its weights compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from cmirnet_cli.batches.batch import normalise, tokenise
from cmirnet_cli.errors import ExportError, WeightsError, listed
from cmirnet_cli.export.graph import PROGRAM_FILE, require_standard
from cmirnet_cli.export.preprocessing import ExportSample, Floats, SentenceReader, Sentences, normalised
from cmirnet_cli.export.runtime import CPU, ExportedModel
from cmirnet_cli.export.spec import ExportPrecision, ExportSpec, read_spec, require_whole
from cmirnet_cli.images.pixels import Pixels, resized
from cmirnet_cli.model.cmirnet import STRIDE
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.weights.bundle import Bundle, load_bundle
from cmirnet_cli.weights.conversion import read_official
from cmirnet_cli.weights.encoder import encoder_fingerprint

PARITY_FILE = "parity.json"
OFFICIAL_FILE = "official.pth"


@dataclass(frozen=True)
class Tolerance:
    """How far an export may be from its weights.

    Attributes:
        logits: largest difference of a logit, in standard deviations of the weights' logits; None: not limited.
        pixels: smallest share of pixels on which the masks agree, over all samples.
        iou: smallest mean IoU of the export's masks with those of the weights; None: not limited.
    """

    logits: float | None
    pixels: float
    iou: float | None = None


TOLERANCES: dict[ExportPrecision, Tolerance] = {
    "fp32": Tolerance(logits=1e-3, pixels=0.999),
    "fp16": Tolerance(logits=None, pixels=0.995),
    "int8": Tolerance(logits=None, pixels=0.95, iou=0.5),
}


@dataclass(frozen=True)
class Compared:
    """One batch through both.

    Attributes:
        batch: B.
        height: of its images, in pixels.
        width: of its images, in pixels.
        logits_error: largest difference of a logit, in standard deviations of the weights' logits.
        equal_pixels: share of pixels on which the masks agree.
        intersections: for each sample, pixels in both masks.
        unions: for each sample, pixels in either mask.
    """

    batch: int
    height: int
    width: int
    logits_error: float
    equal_pixels: float
    intersections: tuple[int, ...]
    unions: tuple[int, ...]

    @property
    def ious(self) -> list[float]:
        """Of each sample's two masks; two empty ones agree."""
        return [shared / either if either else 1.0 for shared, either in zip(self.intersections, self.unions, strict=True)]


@dataclass(frozen=True)
class Parity:
    """All batches, and what they may not exceed.

    Attributes:
        samples: where they come from, in words.
        distinct: how many samples there were; where that is less than a batch of 1 and one of 3 need, some were taken again.
        provider: what ONNX Runtime ran on; None for other formats.
        tolerance: of the export's precision.
        batches: in the order in which they ran.
    """

    samples: str
    distinct: int
    provider: str | None
    tolerance: Tolerance
    batches: tuple[Compared, ...]

    @property
    def comparisons(self) -> int:
        """Of a mask each; a sample that was taken again, or at another size, counts as often."""
        return sum(each.batch for each in self.batches)

    @property
    def logits_error(self) -> float:
        """Of the worst batch; NaN if one of the logits is not a number."""
        return float(np.max([each.logits_error for each in self.batches]))

    @property
    def equal_pixels(self) -> float:
        """Over all pixels of all samples."""
        pixels = [each.batch * each.height * each.width for each in self.batches]
        return float(np.average([each.equal_pixels for each in self.batches], weights=pixels))

    @property
    def mean_iou(self) -> float:
        """Of the export's masks with those of the weights."""
        return float(np.mean([iou for each in self.batches for iou in each.ious]))

    @property
    def overall_iou(self) -> float:
        """Of all masks together."""
        either = sum(sum(each.unions) for each in self.batches)
        return sum(sum(each.intersections) for each in self.batches) / either if either else 1.0

    def alike(self) -> list[Parity]:
        """Batches of equal shape together, each kind on its own."""
        shapes = dict.fromkeys((each.batch, each.height, each.width) for each in self.batches)
        groups = [tuple(each for each in self.batches if (each.batch, each.height, each.width) == shape) for shape in shapes]
        return [replace(self, batches=group) for group in groups]

    def described(self) -> dict[str, object]:
        """As `parity.json` holds it."""
        measured = {name: getattr(self, name) for name in ("logits_error", "equal_pixels", "mean_iou", "overall_iou")}
        return {"compared_with": "freshly loaded fp32 weights", **measured, **asdict(self)}

    def require_within(self) -> None:
        """Refuse what is outside the tolerance.

        Raises:
            ExportError: names what was measured and what it may be.
        """
        if outside := self._outside():
            hint = "nothing was written; int8 needs typical images and sentences, fp16 and fp32 should agree: please report it"
            raise ExportError(f"the export does not agree with its weights: {'; '.join(outside)}", hint=hint)

    def _outside(self) -> list[str]:
        allowed, outside = self.tolerance, []
        if not np.isfinite(self.logits_error):
            outside.append("its logits are not all numbers")
        elif allowed.logits is not None and self.logits_error > allowed.logits:
            outside.append(f"logits differ by {self.logits_error:.2g} of their deviation, and {allowed.logits:g} is allowed")
        if self.equal_pixels < allowed.pixels:
            outside.append(f"{self.equal_pixels:.3%} of the masks' pixels are equal, and {allowed.pixels:.1%} is required")
        if allowed.iou is not None and self.mean_iou < allowed.iou:
            outside.append(f"its masks have a mean IoU of {self.mean_iou:.1%} with those of the weights, and {allowed.iou:.0%} is required")
        return outside


def compare(logits: Floats, expected: Floats) -> Compared:
    """Logits float32 (B, 2, H, W) of an export with those of the weights."""
    batch, _, height, width = expected.shape
    ours, theirs = logits[:, 1] > logits[:, 0], expected[:, 1] > expected[:, 0]
    error = float(np.abs(logits - expected).max() / expected.std())
    shared, either = (ours & theirs).sum(axis=(1, 2)), (ours | theirs).sum(axis=(1, 2))
    return Compared(batch, height, width, error, float((ours == theirs).mean()), tuple(shared.tolist()), tuple(either.tolist()))


Runner: TypeAlias = Callable[[Floats, Sentences], Floats]
"""Normalised images float32 (B, 3, H, W) and their sentences to logits float32 (B, 2, H, W)."""


def verify(folder: Path, reference: Bundle, samples: Sequence[ExportSample], source: str, advance: Callable[[int], object]) -> Parity:
    """Compare an export with its weights, in batches of 1 and of 3; where its graphs take any size, also at other sizes.

    Args:
        folder: the export.
        reference: the weights, loaded for this alone.
        samples: at least one; where they are fewer than four, the first ones are taken again.
        source: where the samples come from, in words.
        advance: is called with how many samples were compared.

    Raises:
        ExportError: the export is damaged, not standard, prepares its input otherwise, or does not agree.
        WeightsError: there is nothing to agree with, as the weights give NaN.
    """
    spec = read_spec(folder)
    require_whole(folder, spec)
    if spec.format == "official":
        run = _official_runner(folder, reference)
    else:
        run = {"onnx": _onnx_runner, "torch": _program_runner, "safetensors": _weights_runner}[spec.format](folder)
    reader = SentenceReader.of(folder, spec.input)
    batches: list[Compared] = []
    for batch, (height, width) in planned(samples, spec):
        images = np.stack([resized(sample.pixels, height, width) for sample in batch])
        batches.append(_compared(run, reader, spec, reference, images, [sample.sentence for sample in batch]))
        advance(len(batch))
    parity = Parity(source, len(samples), CPU if spec.format == "onnx" else None, TOLERANCES[spec.precision], tuple(batches))
    parity.require_within()
    return parity


def planned(samples: Sequence[ExportSample], spec: ExportSpec) -> Iterator[tuple[list[ExportSample], tuple[int, int]]]:
    """Batches with the height and width of their images: the first sample alone, then three at a time."""
    size = spec.input.image_size
    first, three, rest = list(samples[:1]), list(islice(cycle(samples), 1, 4)), samples[4:]
    yield first, (size, size)
    yield three, (size, size)
    yield from ((list(rest[start : start + 3]), (size, size)) for start in range(0, len(rest), 3))
    if spec.dynamic_size:
        yield first, (size + 2 * STRIDE, size + STRIDE)
        yield three, (size, size + STRIDE)


@torch.inference_mode()
def reference_logits(reference: Bundle, images: Pixels, sentences: Sequence[str]) -> tuple[Floats, Sentences, Floats]:
    """Images uint8 (B, H, W, 3) and sentences as the weights' own program prepares them, and its logits float32 (B, 2, H, W)."""
    model = reference.model
    image = normalise(torch.from_numpy(images))
    tokens = tokenise(reference.tokenizer, sentences, reference.config.tokens)
    words = model.encode_text(tokens.ids, tokens.keep)
    logits = model.decode(model.encode_image(image), words, tokens.keep, auxiliary=False).main
    return image.numpy(), Sentences(tokens.ids.numpy(), tokens.keep.long().numpy()), logits.numpy()


def _compared(
    run: Runner, reader: SentenceReader, spec: ExportSpec, reference: Bundle, images: Pixels, sentences: Sequence[str]
) -> Compared:
    image, tokens, logits = reference_logits(reference, images, sentences)
    if np.isnan(logits).any():
        raise WeightsError("the weights themselves give NaN", hint="if their training diverged, export the weights of an earlier epoch")
    own_image, own_tokens = normalised(images, spec.input), reader.read(sentences)
    if not np.array_equal(own_image, image):
        raise ExportError("the export prepares images differently from its weights", hint="please report it")
    if not (np.array_equal(own_tokens.ids, tokens.ids) and np.array_equal(own_tokens.mask, tokens.mask)):
        raise ExportError(f"the export's tokenizer.json reads one of {sentences} differently from its weights", hint="please report it")
    return compare(run(own_image, own_tokens), logits)


def _onnx_runner(folder: Path) -> Runner:
    for graph in read_spec(folder).files:
        require_standard(folder / graph)
    return ExportedModel.open(folder, "cpu").logits


def _program_runner(folder: Path) -> Runner:
    module = torch.export.load(folder / PROGRAM_FILE).module()

    def run(image: Floats, sentences: Sentences) -> Floats:
        with torch.inference_mode():
            logits: Floats = module(*map(torch.from_numpy, (image, sentences.ids, sentences.mask))).numpy()
        return logits

    return run


def _weights_runner(folder: Path) -> Runner:
    with _what_was_written():
        return _model_runner(load_bundle(folder).model)


def _official_runner(folder: Path, reference: Bundle) -> Runner:
    """The checkpoint as `convert` reads it: it must give back the reference's own settings and numbers, bit for bit."""
    with _what_was_written():
        back = read_official(folder / OFFICIAL_FILE, str(folder)).bundle
    ours, theirs = reference.model.network.state_dict(), back.model.network.state_dict()
    differ = [name for name in ours if not torch.equal(_bits(ours[name]), _bits(theirs[name]))]
    if encoder_fingerprint(back.model.text.encoder) != encoder_fingerprint(reference.model.text.encoder):
        differ.append("the text encoder")
    if differ:
        hint = "only BERT as published can be written: heads of 64 channels, GELU, layer norms with 1e-12; if yours is, please report it"
        raise ExportError(f"the official checkpoint does not give back the same numbers: {listed(differ)}", hint=hint)
    return _model_runner(back.model)


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)


@contextmanager
def _what_was_written() -> Iterator[None]:
    try:
        yield
    except WeightsError as error:
        raise ExportError(f"the weights that were written cannot be read: {error.message}", error.hint) from error


def _model_runner(model: ReferringModel) -> Runner:
    @torch.inference_mode()
    def run(image: Floats, sentences: Sentences) -> Floats:
        logits: Floats = model(*map(torch.from_numpy, (image, sentences.ids, sentences.mask.astype(bool)))).main.numpy()
        return logits

    return run
