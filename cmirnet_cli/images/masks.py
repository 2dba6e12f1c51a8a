"""Outlines as masks (polygons, compressed and uncompressed RLE), masks as RLE, and masks at the network's size as PIL makes them.

Outlines come from files of strangers, and pycocotools trusts its input: coordinates far outside an image exhaust memory, a list
of four numbers is taken for a box, and run lengths that end too early leave stray memory in the mask. All of that is refused here;
but beside polygons, four numbers are a line of two corners, which is drawn as pycocotools draws it, and so in the published masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from cmirnet_cli.errors import AnnotationError, shown
from cmirnet_cli.images import OverlapRule, Segmentation

_FEWEST = 6
"""Numbers of a polygon: three corners."""

_LONGEST_OUTLINE = 1 << 21
"""Pixels along a polygon: pycocotools walks it in steps of a fifth of a pixel and keeps every step."""

_FARTHEST = 4
"""How far a polygon may leave its image, in lengths of the image's longer side: no corner may cost more than the image is worth."""


def rasterise(objects: Sequence[Segmentation], height: int, width: int, overlap: OverlapRule = "paper") -> NDArray[np.uint8]:
    """The mask of a referent at the size its outlines were drawn at.

    Args:
        objects: one segmentation per object, in one of COCO's forms; none for a sentence that refers to nothing.
        height, width: the image's size in pixels.
        overlap: what becomes of pixels that several polygons (or RLEs) of one object share. `paper`: the parts are summed and
            the target is where the sum is exactly 1, so shared pixels are background, as in the published training and
            evaluation. `union`: they belong to the object.

    Several objects (gRefCOCO) are always united, also where they overlap: the paper's rule is about the parts of one outline, and
    what two objects share belongs to "both of them". gRefCOCO's authors unite the parts of one object too; `union` gives their masks.

    Returns:
        uint8 (height, width): 1 on the referent, else 0.

    Raises:
        AnnotationError: an outline is malformed or contradicts the image's size.
    """
    mask = np.zeros((width, height), dtype=np.uint8)
    for segmentation in objects:
        once, again = np.zeros_like(mask), np.zeros_like(mask)
        for part in _parts(segmentation, height, width):
            again |= once & part
            once |= part
        mask |= once if overlap == "union" else once & ~again
    return np.ascontiguousarray(mask.T)


def _parts(segmentation: Segmentation, height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """The polygons or RLEs of one object, each as a mask of its own, uint8 (width, height): COCO's order of pixels."""
    parts = [segmentation] if isinstance(segmentation, Mapping) else segmentation
    if not parts:
        raise AnnotationError("an object has an empty segmentation", hint="it must have a polygon or an RLE")
    fewest = 4 if any(isinstance(part, list) and len(part) >= _FEWEST for part in parts) else _FEWEST
    for part in parts:
        yield _run_lengths(part, height, width) if isinstance(part, Mapping) else _polygon(part, height, width, fewest)


def _polygon(corners: object, height: int, width: int, fewest: int) -> NDArray[np.uint8]:
    """Pixels (width, height) of one polygon [x0, y0, x1, y1, …] of `fewest` numbers, by COCO's own rule for pixels on the border."""
    if not _is_numbers(corners) or len(corners) < fewest or len(corners) % 2:
        hint = "it must be a list x0, y0, x1, y1, … of at least three corners; a box must be written as its four corners"
        raise AnnotationError(f"the polygon {shown(corners)} is malformed", hint=hint)
    farthest = _FARTHEST * max(height, width)
    if not all(abs(corner) <= farthest for corner in corners) or _length(corners) > _LONGEST_OUTLINE:
        raise AnnotationError(
            f"the polygon {shown(corners)} is not an outline in an image of {width}×{height} pixels", hint="correct its coordinates"
        )
    drawn = coco.frPyObjects([[0] * _FEWEST, corners], height, width)  # the first tells pycocotools that four numbers are not a box
    return _run_lengths(drawn[1], height, width)


def _length(corners: list[int | float]) -> float:
    """Pixels along a closed polygon, a diagonal step counting as one."""
    points = np.asarray(corners, dtype=np.float64).reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())


def _run_lengths(rle: Mapping[str, Any], height: int, width: int) -> NDArray[np.uint8]:
    """Pixels (width, height) of one RLE {size: [height, width], counts: list | text}, whose first run is background."""
    size, counts = rle.get("size"), rle.get("counts")
    if size != [height, width]:
        raise AnnotationError(f"an RLE has the size {shown(size)}", hint=f"the image's [height, width] is [{height}, {width}]")
    lengths = _decoded_counts(counts) if isinstance(counts, str | bytes) else counts
    if not _is_numbers(lengths) or not all(type(n) is int and n >= 0 for n in lengths) or sum(lengths) != height * width:
        raise AnnotationError(f"an RLE has the counts {shown(counts)}", hint=f"they must be pixel counts with the sum {height}·{width}")
    values = np.arange(len(lengths), dtype=np.int64) % 2
    return np.repeat(values.astype(np.uint8), np.asarray(lengths, dtype=np.int64)).reshape(width, height)


def _decoded_counts(text: str | bytes) -> list[int]:
    """Run lengths from COCO's compressed counts.

    Each number is written in groups of 5 bits, lowest first, as characters from `0` on; bit 6 says that more follow, the
    highest bit of the last group is the sign. From the fourth number on, the difference to the last but one is written.
    """
    counts: list[int] = []
    value = shift = 0
    for code in text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text:
        group = code - ord("0")
        if not 0 <= group < 64 or shift > 60:
            raise AnnotationError(f"an RLE has the counts {shown(text)}", hint="that is not COCO's compressed form")
        value |= (group & 0x1F) << shift
        shift += 5
        if not group & 0x20:
            signed = value - (1 << shift) if group & 0x10 else value
            counts.append(signed + counts[-2] if len(counts) > 2 else signed)
            value = shift = 0
    return counts


def _is_numbers(values: object) -> TypeGuard[list[int | float]]:
    return isinstance(values, list) and all(type(value) in (int, float) for value in values)


_LENGTH = np.dtype("<u2")
_LONGEST = int(np.iinfo(_LENGTH).max)


def resized_mask(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """uint8 (S, S): PIL's nearest resize of a uint8 (H, W) mask."""
    return np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST))


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """COCO's compressed RLE counts of a uint8 (H, W) mask."""
    return bytes(coco.encode(np.asfortranarray(mask))["counts"])


def coco_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's run-length encoding of a bool mask (H, W), fit for JSON: `size` [H, W] and `counts` as text."""
    return {"size": list(mask.shape), "counts": encode_mask(mask.astype(np.uint8)).decode("ascii")}


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Left, top, width and height of what a bool (H, W) mask holds, in pixels; None if that is nothing."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


def decode_mask(counts: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """uint8 (H, W) mask from COCO's compressed RLE counts."""
    return np.ascontiguousarray(coco.decode({"size": [height, width], "counts": counts}))


def encode_runs(mask: NDArray[np.uint8]) -> bytes:
    """A uint8 (S, S) mask as the lengths of its runs row by row, the first of zeros: COCO's counts along rows, each as "<u2".

    A run too long for that is cut by a run of no length. Longer than COCO's text, which goes along columns, and read ten times as fast.
    """
    pixels = mask.reshape(-1)
    edges = np.flatnonzero(np.diff(pixels)) + 1
    lengths = np.diff(edges, prepend=0, append=pixels.size).tolist()
    pieces = [piece for length in ([0, *lengths] if pixels[0] else lengths) for piece in _pieces(length)]
    return np.array(pieces, _LENGTH).tobytes()


def decode_runs(runs: bytes, size: int) -> NDArray[np.uint8]:
    """The uint8 (S, S) mask that `encode_runs` encoded as `runs`."""
    lengths = np.frombuffer(runs, _LENGTH)
    values = np.zeros(len(lengths), np.uint8)
    values[1::2] = 1
    return np.repeat(values, lengths).reshape(size, size)


def _pieces(length: int) -> list[int]:
    """A run as runs that fit into `_LENGTH`: 70000 → 65535, 0, 4465."""
    whole, rest = divmod(length, _LONGEST)
    return [_LONGEST, 0] * whole + [rest]
