"""Logits at the size of a photo, without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def enlarged(x: Floats, height: int, width: int) -> Floats:
    """Bilinear interpolation of float32 (…, H, W) to another height and width, corners not aligned, as torch does it."""
    return _along_rows(_along_rows(x.swapaxes(-1, -2), width).swapaxes(-1, -2), height)


def referent_probability(logits: Floats) -> Floats:
    """Softmax over two classes, float32 (2, …): the second one's probability."""
    weights = np.exp(logits - logits.max(axis=0))
    probability: Floats = weights[1] / weights.sum(axis=0)
    return probability


def _along_rows(x: Floats, length: int) -> Floats:
    """Interpolate the last axis but one; samples lie in the middle of their cells, and the outermost ones reach to the border."""
    count = x.shape[-2]
    place = np.maximum((np.arange(length, dtype=np.float32) + np.float32(0.5)) * np.float32(count / length) - np.float32(0.5), 0)
    before = np.minimum(place.astype(np.int64), count - 1)
    after = np.minimum(before + 1, count - 1)
    share = (place - before.astype(np.float32))[:, None]
    made: Floats = x[..., before, :] * (1 - share) + x[..., after, :] * share
    return made
