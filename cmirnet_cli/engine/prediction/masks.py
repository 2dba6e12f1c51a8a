"""From the probability of each pixel to a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.cache.pixels import coco_rle
from cmirnet_cli.engine.prediction.components import largest_component
from cmirnet_cli.errors import UsageError

Probabilities: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class MaskRule:
    """How probabilities become a mask.

    Attributes:
        threshold: a pixel is in the mask if the network gives the referent a higher probability; 0.5 takes the likelier class.
        largest_component: whether only the largest connected part of the mask is kept.
        soft: whether the probabilities are kept beside the mask.

    Raises:
        UsageError: the threshold is no probability.
    """

    threshold: float = 0.5
    largest_component: bool = False
    soft: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"the threshold {self.threshold:g} is no probability", hint="choose a number from 0 to 1")


@dataclass(frozen=True)
class Prediction:
    """The mask of what one expression refers to.

    Attributes:
        expression: as asked.
        mask: bool (H, W) at the image's own size.
        score: mean probability, 0 to 1, that the network gives the referent on the mask's pixels; 0 for an empty mask.
        probability: of the referent at every pixel, float32 (H, W), where it was asked for.
    """

    expression: str
    mask: NDArray[np.bool_]
    score: float
    probability: Probabilities | None = None

    def rle(self) -> dict[str, Any]:
        """The mask as COCO run-length encoding: `size` [H, W] and `counts` as text."""
        return coco_rle(self.mask)


def decide(expression: str, probability: Probabilities, rule: MaskRule) -> Prediction:
    """The mask that a rule makes of the referent's probability at every pixel, float32 (H, W)."""
    mask = probability > rule.threshold
    if rule.largest_component:
        mask = largest_component(mask)
    score = float(probability[mask].mean()) if mask.any() else 0.0
    return Prediction(expression, mask, score, probability if rule.soft else None)
