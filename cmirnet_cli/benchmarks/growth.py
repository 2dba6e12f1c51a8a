"""How time and memory of asking a model grow: with the size of the images, the batch, the expressions about an image, the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cmirnet_cli.batches.batch import Tokens, normalise, tokenise
from cmirnet_cli.benchmarks.stand_ins import random_bundle
from cmirnet_cli.benchmarks.timing import Spread, side_by_side
from cmirnet_cli.engine.devices import most_held_mib, pick_device
from cmirnet_cli.engine.inference import Inference
from cmirnet_cli.model.referring import ReferringModel

EXPRESSION = "the large red circle"


@dataclass(frozen=True)
class Load:
    """What a model is asked in one go: `images` in batches of `batch`, `size` pixels wide and high, `expressions` about each."""

    size: int = 480
    batch: int = 1
    expressions: int = 1
    images: int = 1


@dataclass(frozen=True)
class GrowthAxis:
    """One number of a load that grows while the others stay.

    Attributes:
        name: of the number.
        loads: from the smallest to the largest.
    """

    name: str
    loads: Sequence[Load]

    @property
    def values(self) -> list[int]:
        """The number in each load."""
        return [int(getattr(load, self.name)) for load in self.loads]


@dataclass(frozen=True)
class Burden:
    """What a load costs: milliseconds of all of it, and the most memory that its process held, in MiB."""

    milliseconds: Spread
    memory_mib: float


def axes(sizes: Sequence[int], counts: Sequence[int], base: Load) -> list[GrowthAxis]:
    """Size, batch, expressions and images; of each but the first as many as `counts` says."""
    return [
        GrowthAxis("size", [replace(base, size=size) for size in sizes]),
        GrowthAxis("batch", [replace(base, batch=count, images=count) for count in counts]),
        GrowthAxis("expressions", [replace(base, expressions=count) for count in counts]),
        GrowthAxis("images", [replace(base, images=count) for count in counts]),
    ]


def burden(backbone: str, load: Load, rounds: int, device: str) -> Burden:
    """Measure a load with random weights, in the forms that `predict` computes in; to be called in a fresh process."""
    place = pick_device(device)
    bundle = Inference().prepare(random_bundle(backbone, load.size, [EXPRESSION]), place)
    asked = tokenise(bundle.tokenizer, [EXPRESSION] * load.batch * load.expressions, bundle.config.tokens).to(place)
    pictures = torch.randint(256, (load.batch, load.size, load.size, 3), dtype=torch.uint8, device=place)

    def ask() -> None:
        for _ in range(0, load.images, load.batch):
            _answer(bundle.model, pictures, asked).cpu()

    ask()
    return Burden(side_by_side({"ask": ask}, 1, rounds)["ask"].milliseconds, most_held_mib(place))


@torch.inference_mode()
def _answer(model: ReferringModel, pictures: Tensor, asked: Tokens) -> Tensor:
    """Masks bool (n, S, S) of n expressions about uint8 images (B, S, S, 3): one about each, or all about the only one."""
    words = model.encode_text(asked.ids, asked.keep)
    seen = model.encode_image(normalise(pictures))
    rows = seen.repeat(len(words)) if len(pictures) == 1 else seen
    logits = model.decode(rows, words, asked.keep, auxiliary=False).main
    return logits[:, 1] > logits[:, 0]
