"""The pictures of each mask in a folder of predictions, and its line in the index."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmirnet_cli.files import write_image
from cmirnet_cli.images.drawing import cutout, mask_picture, overlay
from cmirnet_cli.images.masks import bounding_box
from cmirnet_cli.images.pixels import Mask, Pixels
from cmirnet_cli.reports.predictions.folder import CUTOUTS, MASKS, OVERLAYS, PROBABILITIES
from cmirnet_cli.reports.predictions.index import Index, append
from cmirnet_cli.reports.predictions.names import mask_name

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True)
class PredictedPhoto:
    """A photo that masks are of.

    Attributes:
        name: relative path that the results mirror.
        path: where it was read.
        pixels: uint8 (H, W, 3), RGB.
    """

    name: Path
    path: Path
    pixels: Pixels


@dataclass(frozen=True)
class MaskToWrite:
    """One mask to be written.

    Attributes:
        expression: as the user gave it.
        mask: bool (H, W).
        score: 0 to 1.
        rle: the mask as COCO RLE.
        probability: float32 (H, W), for the probability picture.
        known: whether the tokenizer knows any word of the expression.
    """

    expression: str
    mask: Mask
    score: float
    rle: Mapping[str, Any]
    probability: NDArray[np.float32] | None = None
    known: bool = True


@dataclass(frozen=True)
class PredictionFolder:
    """Writes the masks of photo after photo; every file appears whole or not at all.

    Attributes:
        folder: where to write.
        kinds: which pictures are written: `masks` and any of `overlays`, `cutouts`, `probabilities`.
    """

    folder: Path
    kinds: Sequence[str] = (MASKS,)

    def add(self, source: PredictedPhoto, prediction: Iterable[MaskToWrite], part: Path) -> int:
        """Write all that was found in a photo, then its lines at the end of the index `part`; how many masks there were.

        Raises:
            CmirnetError: something cannot be written.
        """
        lines = [self._write(source, each) for each in prediction]
        append(part, lines)
        return len(lines)

    def holds(self, index: Index, photo: Path, expressions: Sequence[str]) -> bool:
        """Whether all that is wanted of a photo was written before."""
        name = photo.as_posix()
        return all((name, expression) in index.places and self._is_written(mask_name(photo, expression)) for expression in expressions)

    def _is_written(self, name: Path) -> bool:
        return all(_is_whole(self.folder / kind / name) for kind in self.kinds)

    def _write(self, source: PredictedPhoto, prediction: MaskToWrite) -> dict[str, Any]:
        name = mask_name(source.name, prediction.expression)
        for kind in self.kinds:
            write_image(self.folder / kind / name, _DRAWN[kind](source.pixels, prediction), wait=False)
        return _line(source, prediction, name)


def _is_whole(picture: Path) -> bool:
    """Whether a PNG file is there to its end; a machine that loses power may leave files without content."""
    if not picture.is_file() or picture.stat().st_size < len(_PNG_END):
        return False
    with picture.open("rb") as file:
        file.seek(-len(_PNG_END), os.SEEK_END)
        return file.read() == _PNG_END


def _mask(pixels: Pixels, prediction: MaskToWrite) -> Image.Image:
    return mask_picture(prediction.mask)


def _overlay(pixels: Pixels, prediction: MaskToWrite) -> Image.Image:
    return overlay(pixels, prediction.mask)


def _cutout(pixels: Pixels, prediction: MaskToWrite) -> Image.Image:
    return cutout(pixels, prediction.mask)


def _probability(pixels: Pixels, prediction: MaskToWrite) -> Image.Image:
    if prediction.probability is None:
        raise ValueError("a probability picture needs probabilities")
    return Image.fromarray(np.rint(prediction.probability * 255).astype(np.uint8))


_DRAWN: Mapping[str, Callable[[Pixels, MaskToWrite], Image.Image]] = {
    MASKS: _mask,
    OVERLAYS: _overlay,
    CUTOUTS: _cutout,
    PROBABILITIES: _probability,
}


def _line(source: PredictedPhoto, prediction: MaskToWrite, name: Path) -> dict[str, Any]:
    return {
        "image": source.name.as_posix(),
        "path": source.path.as_posix(),
        "expression": prediction.expression,
        "mask": (Path(MASKS) / name).as_posix(),
        "score": round(prediction.score, 6),
        "known": prediction.known,
        "size": list(prediction.mask.shape),
        "box": list(box) if (box := bounding_box(prediction.mask)) else None,
        "area": int(prediction.mask.sum()),
        "rle": dict(prediction.rle),
    }
