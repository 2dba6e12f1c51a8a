"""An uploaded photo, and what each expression refers to in it: pictures for the page, as the bytes of their files.

A result keeps how probable each pixel is, in hundredths, so that another threshold needs no network.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmirnet_cli.engine.prediction.masks import MaskRule
from cmirnet_cli.engine.prediction.photos import decoded
from cmirnet_cli.engine.prediction.prediction import Prediction
from cmirnet_cli.engine.prediction.segmenter import Segmenter
from cmirnet_cli.errors import UsageError
from cmirnet_cli.images.drawing import cutout, mask_picture, overlays
from cmirnet_cli.images.palette import ORANGE, Colour
from cmirnet_cli.images.pixels import Mask, Pixels
from cmirnet_cli.reports.pictures.overlay import fitting_size
from cmirnet_cli.reports.predictions.names import mask_name
from cmirnet_cli.scenes import drawn_scene

LARGEST_SIDE, SMALLEST_SIDE = 1280, 640
"""Longer side of a picture on the page, at most and at least; what is downloaded has the photo's own size."""

MOST_EXPRESSIONS = 30
"""At once: each answer stays in memory as long as the page shows it."""

HALF = 50
"""The threshold of `predict`, in hundredths: the likelier class."""
_STEPS = np.arange(100, dtype=np.float32) / np.float32(100)
"""The thresholds there are."""

EXAMPLES = ("shapes 1", "shapes 2", "shapes 3")
"""Names of the drawn pictures to try the page with."""


@dataclass(frozen=True)
class UploadedPhoto:
    """An image that was uploaded.

    Attributes:
        name: of its file.
        pixels: uint8 (H, W, 3), RGB, upright.
    """

    name: str
    pixels: Pixels

    @classmethod
    def of_file(cls, name: str, source: bytes) -> UploadedPhoto:
        """Decode a file. Raises ImageError if it is not a complete image, or enormous once unpacked."""
        return cls(Path(name).name or "image", decoded(source, name).pixels)

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])

    def shown(self) -> Image.Image:
        """As the page shows it: a large one smaller, a small one larger."""
        picture = Image.fromarray(self.pixels)
        side = min(max(*picture.size, SMALLEST_SIDE), LARGEST_SIDE)
        return picture if side == max(picture.size) else picture.resize(fitting_size(*picture.size, side), Image.Resampling.BICUBIC)

    def preview(self) -> bytes:
        """The same as the bytes of a JPEG file."""
        return _encoded(self.shown(), "JPEG")


def example(name: str) -> tuple[UploadedPhoto, Sequence[str]]:
    """One of `EXAMPLES`, and expressions that fit it; always the same ones."""
    pixels, expressions = drawn_scene(Random(name), SMALLEST_SIDE)
    return UploadedPhoto(f"{name}.png", pixels), expressions


@dataclass(frozen=True)
class ExpressionResult:
    """What one expression refers to, at any threshold. A threshold is given in hundredths, 0 to 99.

    Attributes:
        photo: that it refers to.
        expression: as typed.
        cut: whether the network read only the expression's beginning.
        known: whether the tokenizer knows any word of it.
        levels: PNG, grey, at the photo's own size: how many thresholds each pixel's probability is above of.
        shown: the photo as the page shows it, uint8 (h, w, 3).
        shown_levels: uint8 (h, w), the levels at that size.
        scores: of the mask at each threshold, (100,); NaN where it is empty.
    """

    photo: UploadedPhoto
    expression: str
    cut: bool
    known: bool
    levels: bytes = field(repr=False)
    shown: Pixels = field(repr=False)
    shown_levels: NDArray[np.uint8] = field(repr=False)
    scores: NDArray[np.float64] = field(repr=False)

    @classmethod
    def of(cls, photo: UploadedPhoto, shown: Pixels, prediction: Prediction, *, cut: bool) -> ExpressionResult:
        """From a prediction that keeps its probabilities."""
        if prediction.probability is None:
            raise ValueError("a threshold needs probabilities")
        size = (shown.shape[1], shown.shape[0])
        shown_probability = np.asarray(Image.fromarray(prediction.probability).resize(size, Image.Resampling.BILINEAR))
        levels = _levels(prediction.probability)
        return cls(
            photo=photo,
            expression=prediction.expression,
            cut=cut,
            known=prediction.known,
            levels=_encoded(Image.fromarray(levels), "PNG"),
            shown=shown,
            shown_levels=_levels(shown_probability),
            scores=_scores(levels, prediction.probability),
        )

    def is_empty(self, threshold: int) -> bool:
        """Whether nothing is found."""
        return bool(np.isnan(self.scores[threshold]))

    def score(self, threshold: int) -> float:
        """Mean probability of the mask's pixels; 0 where there are none."""
        return 0.0 if self.is_empty(threshold) else float(self.scores[threshold])

    def overlay(self, threshold: int, colour: Colour = ORANGE) -> bytes:
        """JPEG, the mask drawn on the photo as the page shows it."""
        return overlay_of([self], threshold, [colour])

    def mask(self, threshold: int) -> bytes:
        """PNG at the photo's own size, 255 on the object and 0 elsewhere."""
        return _encoded(mask_picture(self._mask(threshold)), "PNG")

    def cutout(self, threshold: int) -> bytes:
        """PNG at the photo's own size: the object on transparency."""
        return _encoded(cutout(self.photo.pixels, self._mask(threshold)), "PNG")

    def file_name(self, kind: str) -> str:
        """What a download of this kind, such as `mask`, is called: as `predict` names it, with the kind before its end."""
        return str(mask_name(Path(self.photo.name), self.expression).with_suffix(f".{kind}.png"))

    def _mask(self, threshold: int) -> Mask:
        return np.asarray(Image.open(io.BytesIO(self.levels))) > threshold


def overlay_of(results: Sequence[ExpressionResult], threshold: int, colours: Sequence[Colour]) -> bytes:
    """JPEG, the masks of several expressions about one photo drawn on it, each in its colour."""
    return _encoded(overlays(results[0].shown, [each.shown_levels > threshold for each in results], colours), "JPEG")


def expressions_in(text: str) -> Sequence[str]:
    """The expressions of a text, one a line; empty lines and repetitions are left out.

    Raises:
        UsageError: there are none, or more than `MOST_EXPRESSIONS`.
    """
    expressions = list(dict.fromkeys(filter(None, map(str.strip, text.splitlines()))))
    if not expressions:
        raise UsageError("There is no expression yet", hint="say what to find, such as “the red cup”")
    if len(expressions) > MOST_EXPRESSIONS:
        hint = f"the page takes {MOST_EXPRESSIONS} at once, `cmirnet predict` any number"
        raise UsageError(f"These are {len(expressions)} expressions", hint=hint)
    return expressions


def predict_upload(segmenter: Segmenter, photo: UploadedPhoto, expressions: Sequence[str]) -> Iterator[ExpressionResult]:
    """One result after the other; the network encodes the photo once."""
    cut = segmenter.too_long(expressions)
    shown = np.asarray(photo.shown())
    for prediction in segmenter.predict_iter(photo.pixels, expressions, MaskRule(), soft=True):
        yield ExpressionResult.of(photo, shown, prediction, cut=prediction.expression in cut)


def _levels(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 (H, W): how many of the thresholds each probability is above of, so that `level > t` says `probability > t / 100`."""
    return np.searchsorted(_STEPS, probability, side="left").astype(np.uint8)


def _scores(levels: NDArray[np.uint8], probability: NDArray[np.float32]) -> NDArray[np.float64]:
    """(100,): the mean probability of the pixels above each threshold; NaN where there are none."""
    counts = np.bincount(levels.ravel(), minlength=101)
    sums = np.bincount(levels.ravel(), weights=probability.ravel().astype(np.float64), minlength=101)
    above, total = counts[::-1].cumsum()[::-1][1:], sums[::-1].cumsum()[::-1][1:]
    scores: NDArray[np.float64] = np.divide(total, above, out=np.full(100, np.nan), where=above > 0)
    return scores


def _encoded(picture: Image.Image, form: Literal["JPEG", "PNG"]) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, quality=90, compress_level=3)
    return file.getvalue()
