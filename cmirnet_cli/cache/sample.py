"""What the cache gives to the batches: one image, one mask, one sentence, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """One sentence with its image and target at one size.

    Attributes:
        ref_id: REFER's id of the referent.
        image_id: the data set's id of the image, as text.
        sent_id: REFER's id of the sentence.
        text: the sentence as written.
        image: uint8 (S, S, 3), RGB.
        mask: uint8 (S, S), 1 on the referent, else 0.
    """

    ref_id: int
    image_id: str
    sent_id: int
    text: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
