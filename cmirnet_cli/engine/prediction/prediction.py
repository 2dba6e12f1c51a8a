"""What a network finds for an expression: a mask that draws itself on its image, and shows itself in a notebook."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmirnet_cli.errors import UsageError
from cmirnet_cli.files import write_image
from cmirnet_cli.images.drawing import cutout, mask_picture, overlay
from cmirnet_cli.images.masks import coco_rle
from cmirnet_cli.images.palette import ORANGE, Colour
from cmirnet_cli.images.pixels import Mask, Pixels

NOTEBOOK_SIDE = 640
"""Longer side, in pixels, of the picture that a notebook shows; `overlay` has the image's own size."""


@dataclass(frozen=True)
class Prediction:
    """The mask of what one expression refers to.

    Attributes:
        expression: that it is the mask of.
        score: mean probability, 0 to 1, that the network gives the referent on the mask's pixels; 0 where there are none. A mask that
            was emptied because of its score keeps it.
        mask: bool (H, W) at the image's own size.
        image: uint8 (H, W, 3), RGB, that it is the mask in.
        probability: of the referent at every pixel, float32 (H, W), where it is kept.
        known: whether the tokenizer knows any word of the expression; otherwise the mask owes nothing to it.
    """

    expression: str
    score: float
    mask: Mask = field(repr=False)
    image: Pixels = field(repr=False)
    probability: NDArray[np.float32] | None = field(default=None, repr=False)
    known: bool = True

    def rle(self) -> dict[str, Any]:
        """The mask as COCO run-length encoding: `size` [H, W] and `counts` as text."""
        return coco_rle(self.mask)

    def overlay(self, colour: Colour = ORANGE) -> Image.Image:
        """The image with the object tinted and outlined in a colour (red, green, blue), and the rest dimmed."""
        return overlay(self.image, self.mask, colour)

    def cutout(self) -> Image.Image:
        """The object on transparency, RGBA, at the image's own size."""
        return cutout(self.image, self.mask)

    def save(self, path: str | Path) -> None:
        """Write the mask as PNG, 255 on the object and 0 elsewhere, at the image's own size. A file that is there is replaced.

        Raises:
            UsageError: the name does not end in .png; other formats would lose parts of the mask.
            CmirnetError: it cannot be written.
        """
        if Path(path).suffix.lower() != ".png":
            raise UsageError(
                f"a mask is saved as PNG, not as {path}",
                hint="end the name in .png; overlay() and cutout() give PIL images",
            )
        write_image(Path(path), mask_picture(self.mask))

    def _repr_png_(self) -> bytes:
        """What a notebook shows: the overlay, made smaller where it is large."""
        picture, file = self.overlay(), io.BytesIO()
        picture.thumbnail((NOTEBOOK_SIDE, NOTEBOOK_SIDE))
        picture.save(file, "PNG")
        return file.getvalue()


class Predictions(list[Prediction]):
    """A list of predictions, which a notebook shows as a row of pictures with expressions and scores."""

    def _repr_html_(self) -> str:
        return f'<div style="display: flex; flex-wrap: wrap; gap: 12px">{"".join(map(_figure, self))}</div>'


def _figure(prediction: Prediction) -> str:
    picture = base64.b64encode(prediction._repr_png_()).decode("ascii")
    said = f"score {100 * prediction.score:.0f} %" if prediction.mask.any() else "nothing found"
    name = escape(prediction.expression)
    return (
        '<figure style="margin: 0; max-width: 320px">'
        f'<img alt="{name}" src="data:image/png;base64,{picture}" style="max-width: 100%">'
        f"<figcaption>{name}, {said}</figcaption></figure>"
    )
