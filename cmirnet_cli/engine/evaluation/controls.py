"""Questions without their words or without their pixels: what weights still score there, they owe to something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from cmirnet_cli.batches.sets import EvaluationImage, EvaluationSet, shuffled_texts
from cmirnet_cli.batches.transforms import IMAGENET_MEAN
from cmirnet_cli.cache.reader import Cache

GREY = tuple(round(255 * mean) for mean in IMAGENET_MEAN)
"""The colour, uint8 RGB, whose normalised value is nearest to 0 in each channel: ImageNet's mean."""


class GreyImages(EvaluationSet):
    """The same questions about an even grey in place of each image; targets stay."""

    def __getitem__(self, item: int) -> EvaluationImage:
        asked = super().__getitem__(item)
        return replace(asked, image=np.broadcast_to(np.array(GREY, np.uint8), asked.image.shape).copy())


def _shuffled(cache: Cache, split: str, size: int) -> EvaluationSet:
    return EvaluationSet(cache, split, size, shuffled_texts(cache, split))


_SETS: Mapping[str, Callable[[Cache, str, int], EvaluationSet]] = MappingProxyType({"shuffled-text": _shuffled, "no-image": GreyImages})


def control_set(control: str, cache: Cache, split: str, size: int) -> EvaluationSet:
    """The questions of one of `metrics.scored.CONTROLS`, sentence by sentence in the order of `EvaluationSet`.

    Raises:
        KeyError: there is no such control.
    """
    return _SETS[control](cache, split, size)
