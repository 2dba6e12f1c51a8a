"""The folder that predictions are written to.

masks/…/<photo>.<expression>.png    0 and 255, at the photo's own size; folders as in the input
overlays/…                          the same names: the mask drawn on the photo
cutouts/…                           the object on transparency
probabilities/…                     the referent's probability at every pixel, 0 to 255
predictions.jsonl                   one line a mask: COCO RLE, score, box, area, size
settings.json                       what the masks depend on
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmirnet_cli.reports.files import write_image
from cmirnet_cli.reports.pictures.overlay import Mask, Photo, bounding_box, cutout, mask_picture, overlay
from cmirnet_cli.reports.predictions.index import Index, append
from cmirnet_cli.reports.predictions.names import mask_name

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

MASKS, OVERLAYS, CUTOUTS, PROBABILITIES = KINDS = "masks", "overlays", "cutouts", "probabilities"


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
    pixels: Photo


@dataclass(frozen=True)
class MaskToWrite:
    """One mask to be written.

    Attributes:
        expression: what was asked.
        mask: bool (H, W).
        score: 0 to 1.
        rle: the mask as COCO RLE.
        probability: float32 (H, W), for the probability picture.
    """

    expression: str
    mask: Mask
    score: float
    rle: Mapping[str, Any]
    probability: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class PredictionFolder:
    """Writes the masks of photo after photo; every file appears whole or not at all.

    Attributes:
        folder: where to write.
        kinds: which pictures are written: `masks` and any of `overlays`, `cutouts`, `probabilities`.
    """

    folder: Path
    kinds: Sequence[str] = (MASKS,)

    def add(self, source: PredictedPhoto, found: Iterable[MaskToWrite], part: Path) -> int:
        """Write all that was found in a photo, then its lines at the end of the index `part`; how many masks there were.

        Raises:
            CmirnetError: something cannot be written.
        """
        lines = [self._write(source, each) for each in found]
        append(part, lines)
        return len(lines)

    def holds(self, index: Index, photo: Path, expressions: Sequence[str]) -> bool:
        """Whether all that is wanted of a photo was written before."""
        name = photo.as_posix()
        return all((name, expression) in index.places and self._is_written(mask_name(photo, expression)) for expression in expressions)

    def _is_written(self, name: Path) -> bool:
        return all(_is_whole(self.folder / kind / name) for kind in self.kinds)

    def _write(self, source: PredictedPhoto, found: MaskToWrite) -> dict[str, Any]:
        name = mask_name(source.name, found.expression)
        for kind in self.kinds:
            write_image(self.folder / kind / name, _DRAWN[kind](source.pixels, found), wait=False)
        return _line(source, found, name)


def _is_whole(picture: Path) -> bool:
    """Whether a PNG file is there to its end; a machine that loses power may leave files without content."""
    if not picture.is_file() or picture.stat().st_size < len(_PNG_END):
        return False
    with picture.open("rb") as file:
        file.seek(-len(_PNG_END), os.SEEK_END)
        return file.read() == _PNG_END


def _mask(pixels: Photo, found: MaskToWrite) -> Image.Image:
    return mask_picture(found.mask)


def _overlay(pixels: Photo, found: MaskToWrite) -> Image.Image:
    return overlay(pixels, found.mask)


def _cutout(pixels: Photo, found: MaskToWrite) -> Image.Image:
    return cutout(pixels, found.mask)


def _probability(pixels: Photo, found: MaskToWrite) -> Image.Image:
    if found.probability is None:
        raise ValueError("a probability picture needs probabilities")
    return Image.fromarray(np.rint(found.probability * 255).astype(np.uint8))


_DRAWN: Mapping[str, Callable[[Photo, MaskToWrite], Image.Image]] = {
    MASKS: _mask,
    OVERLAYS: _overlay,
    CUTOUTS: _cutout,
    PROBABILITIES: _probability,
}


def _line(source: PredictedPhoto, found: MaskToWrite, name: Path) -> dict[str, Any]:
    return {
        "image": source.name.as_posix(),
        "path": source.path.as_posix(),
        "expression": found.expression,
        "mask": (Path(MASKS) / name).as_posix(),
        "score": round(found.score, 6),
        "size": list(found.mask.shape),
        "box": list(box) if (box := bounding_box(found.mask)) else None,
        "area": int(found.mask.sum()),
        "rle": dict(found.rle),
    }
