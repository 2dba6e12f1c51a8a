"""An uploaded photo, and what each expression refers to in it: pictures for the page, as the bytes of their files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from cmirnet_cli.engine.prediction.masks import MaskRule
from cmirnet_cli.engine.prediction.photos import decoded
from cmirnet_cli.engine.prediction.segmenter import Segmenter
from cmirnet_cli.errors import UsageError
from cmirnet_cli.images.pixels import Pixels
from cmirnet_cli.reports.pictures.overlay import cutout, fitting_size, mask_picture, overlay, scaled_mask
from cmirnet_cli.reports.predictions.folder import mask_name

SHOWN_SIDE = 1280
"""Longest side of a picture on the page; what is downloaded has the photo's own size."""

MOST_EXPRESSIONS = 30
"""At once: each answer stays in memory as long as the page shows it."""


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
        """Decode a file. Raises ImageError if it is no whole image, or enormous once unpacked."""
        return cls(Path(name).name or "image", decoded(source, name))

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])

    def shown(self) -> Image.Image:
        """As the page shows it, no larger than `SHOWN_SIDE`."""
        picture = Image.fromarray(self.pixels)
        if max(picture.size) <= SHOWN_SIDE:
            return picture
        return picture.resize(fitting_size(self.width, self.height, SHOWN_SIDE), Image.Resampling.BICUBIC)

    def preview(self) -> bytes:
        """The same as the bytes of a JPEG file."""
        return _encoded(self.shown(), "JPEG")


@dataclass(frozen=True)
class ExpressionResult:
    """What one expression refers to.

    Attributes:
        photo: that it refers to.
        expression: as typed.
        score: 0 to 1.
        cut: whether the network read only the expression's beginning.
        overlay: JPEG, the mask drawn on the photo as the page shows it.
        mask: PNG at the photo's own size, 255 on the object and 0 elsewhere.
        is_empty: whether nothing was found.
    """

    photo: UploadedPhoto
    expression: str
    score: float
    cut: bool
    overlay: bytes
    mask: bytes
    is_empty: bool

    def cutout(self) -> bytes:
        """PNG at the photo's own size: the object on transparency. Made anew at every call, as few want it and it is large."""
        return _encoded(cutout(self.photo.pixels, np.asarray(Image.open(io.BytesIO(self.mask))) > 0), "PNG")

    def file_name(self, kind: str) -> str:
        """What a download of this kind, such as `mask`, is called: as `predict` names it, with the kind before its end."""
        return str(mask_name(Path(self.photo.name), self.expression).with_suffix(f".{kind}.png"))


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
    for prediction in segmenter.predict_iter(photo.pixels, expressions, MaskRule()):
        mask = prediction.mask
        yield ExpressionResult(
            photo=photo,
            expression=prediction.expression,
            score=prediction.score,
            cut=prediction.expression in cut,
            overlay=_encoded(overlay(shown, scaled_mask(mask, (shown.shape[1], shown.shape[0]))), "JPEG"),
            mask=_encoded(mask_picture(mask), "PNG"),
            is_empty=not mask.any(),
        )


def _encoded(picture: Image.Image, form: Literal["JPEG", "PNG"]) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, quality=90, compress_level=3)
    return file.getvalue()
