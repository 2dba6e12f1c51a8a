"""How the IoUs of sentences are spread: equal steps from 0 to 1, counted exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 20
"""Steps of the histogram: the thresholds of precision@x lie between two of them."""

Ints = NDArray[np.int64]


def iou_bins(intersection: Ints, union: Ints) -> Ints:
    """int64 (n,): the step of each sentence's IoU, 0 to `BINS` - 1.

    A step holds its lower end; the last one holds an IoU of 1 as well, the first one empty unions. Integers decide, as for precision@x.

    Args:
        intersection: int64 (n,), pixels.
        union: int64 (n,), pixels.
    """
    steps: Ints = np.minimum(BINS * intersection // np.maximum(union, 1), BINS - 1)
    return steps
