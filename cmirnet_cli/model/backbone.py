"""What a visual backbone is to the network: its stages, and what is known of their maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn


@dataclass(frozen=True)
class Backbone:
    """A backbone, taken apart where text is fused.

    Attributes:
        stages: finest first, each from the map before it (the first from the image) to its own, (B, C, H, W). Where `beside` is set,
            one module from the image to all maps.
        widths: channels of every map, finest first.
        strides: pixels of the image that one position of each map stands for.
        wordless: how many of the maps, the finest ones, see no text.
        form: which of the published fusions and decoders is built around it.
        beside: whether the trunk cannot be taken apart, so that text is fused into its maps and does not flow on through it.
    """

    stages: tuple[nn.Module, ...]
    widths: tuple[int, ...]
    strides: tuple[int, ...]
    wordless: int
    form: Literal["swin", "resnet"]
    beside: bool = False
