"""Images and masks at the network's size, exactly as PIL makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

_LENGTH = np.dtype("<u2")
_LONGEST = int(np.iinfo(_LENGTH).max)


def resized(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """uint8 (S, S, 3): PIL's bilinear, antialiased resize of an RGB image; the aspect is not kept."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def resized_mask(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """uint8 (S, S): PIL's nearest resize of a uint8 (H, W) mask."""
    return np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST))


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """COCO's compressed RLE counts of a uint8 (H, W) mask."""
    return bytes(coco.encode(np.asfortranarray(mask))["counts"])


def coco_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's run-length encoding of a bool mask (H, W), fit for JSON: `size` [H, W] and `counts` as text."""
    return {"size": list(mask.shape), "counts": encode_mask(mask.astype(np.uint8)).decode("ascii")}


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
    """The uint8 (S, S) mask that `encode_runs` was given."""
    lengths = np.frombuffer(runs, _LENGTH)
    values = np.zeros(len(lengths), np.uint8)
    values[1::2] = 1
    return np.repeat(values, lengths).reshape(size, size)


def _pieces(length: int) -> list[int]:
    """A run as runs that fit into `_LENGTH`: 70000 → 65535, 0, 4465."""
    whole, rest = divmod(length, _LONGEST)
    return [_LONGEST, 0] * whole + [rest]
