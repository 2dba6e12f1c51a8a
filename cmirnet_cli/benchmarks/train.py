"""The first steps of training in several ways: as published, and as settings of ours make them; the same batches, loss beside loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import torch

from cmirnet_cli.benchmarks.stand_ins import drawn_cache, random_recipe
from cmirnet_cli.benchmarks.timing import Progress, Timing
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.devices import has_bf16, most_held_mib, pick_device, published_precision
from cmirnet_cli.engine.environment import in_fresh_process
from cmirnet_cli.engine.training.loop import Trainer
from cmirnet_cli.engine.training.start import starting_bundle
from cmirnet_cli.scenes import Amount

PLAIN = "plain"
Changes: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class FirstSteps:
    """The first steps of a run.

    Attributes:
        timing: of all but the very first step, sentence by sentence.
        losses: of every step.
        memory_mib: the most memory held: of the GPU where there is one, else of the process.
    """

    timing: Timing
    losses: tuple[float, ...]
    memory_mib: float

    def away_from(self, other: FirstSteps) -> float:
        """The largest difference of a step's loss from the other's, as a share of the other's."""
        return max(abs(ours - theirs) / theirs for ours, theirs in zip(self.losses, other.losses, strict=True))


@dataclass(frozen=True)
class TrainingComparison:
    """What every way came to, by name, and the plain way's settings."""

    settings: Settings
    device: str
    ways: Mapping[str, FirstSteps]


def ways_on(device: torch.device) -> Mapping[str, Changes]:
    """Name → settings; plain is the published step: fp16 around the network, which a CPU cannot do and takes fp32 for.

    bf16 is a way where the device has instructions for it.
    """
    plain: Changes = {"loop.precision": published_precision(device)}
    bf16: Changes = {"loop.precision": "bf16"}
    compiled = {"bf16, compiled": {**bf16, "loop.compile": True}} if device.type == "cuda" else {}
    return {
        PLAIN: plain,
        **({"bf16": bf16} if has_bf16(device) else {}),
        **compiled,
        "recomputing": {**plain, "loop.gradient_checkpointing": True},
        "frozen text": {**plain, "text.train": "none"},
    }


def compare_training(
    backbone: str | None, size: int | None, batch_size: int, steps: int, device: str, progress: Progress
) -> TrainingComparison:
    """Take the first steps in every way, from the same random weights on the same drawn scenes, each way in a fresh process.

    Args:
        backbone: swin-b by default.
        size: of the images in pixels; the published one by default.
        batch_size: sentences of one step.
        steps: of the optimiser, at least two.
        device: as `pick_device` takes it.
        progress: shows how many ways are done.

    Raises:
        ConfigError: there is no such backbone, or it cannot take the size.
    """
    place = pick_device(device)
    recipes = {name: random_recipe(backbone, size, batch_size, **changes) for name, changes in ways_on(place).items()}
    amounts = {"train": Amount(*[steps * batch_size] * 3), "val": Amount(1, 1, 1)}
    with TemporaryDirectory(prefix="cmirnet-benchmark-") as folder, progress("train", len(recipes)) as advance:
        cache = drawn_cache(Path(folder), recipes[PLAIN].data.image_size, amounts)
        ways = {}
        for name, settings in recipes.items():
            ways[name] = in_fresh_process(first_steps, settings, cache.folder, steps, str(place))
            advance(1)
    return TrainingComparison(recipes[PLAIN], str(place), ways)


def first_steps(settings: Settings, cache: Path, steps: int, device: str) -> FirstSteps:
    """Train a fresh model for so many steps; to be called in a fresh process.

    Args:
        settings: the recipe.
        cache: folder of the prepared data, with enough of the split train.
        steps: of the optimiser, at least two.
        device: as `pick_device` takes it.
    """
    data, place = Cache.open(cache), pick_device(device)
    trainer = Trainer(starting_bundle(settings, data), settings, data, place)
    reports = list(islice(trainer.steps(), steps))
    seconds = tuple(report.seconds for report in reports[1:])
    return FirstSteps(Timing(seconds, settings.loop.batch_size), tuple(report.loss for report in reports), most_held_mib(place))
