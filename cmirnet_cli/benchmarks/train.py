"""The first steps of training in several ways: as published, and as settings of ours make them; the same batches, loss beside loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import torch

from cmirnet_cli.benchmarks.timing import Timing
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.devices import has_bf16, most_held_mib, pick_device
from cmirnet_cli.engine.training.loop import Trainer
from cmirnet_cli.engine.training.start import starting_bundle

PLAIN = "plain"
Changes: TypeAlias = Mapping[str, object]


def ways_on(device: torch.device) -> Mapping[str, Changes]:
    """Name → settings; plain is the published step: fp16 around the network, which a CPU cannot do and takes fp32 for.

    bf16 is a way where the device has instructions for it.
    """
    plain: Changes = {"loop.precision": "fp16" if device.type == "cuda" else "fp32"}
    bf16: Changes = {"loop.precision": "bf16"}
    compiled = {"bf16, compiled": {**bf16, "loop.compile": True}} if device.type == "cuda" else {}
    return {
        PLAIN: plain,
        **({"bf16": bf16} if has_bf16(device) else {}),
        **compiled,
        "recomputing": {**plain, "loop.gradient_checkpointing": True},
        "frozen text": {**plain, "text.train": "none"},
    }


@dataclass(frozen=True)
class Steps:
    """What the first steps of a run came to.

    Attributes:
        timing: of all but the very first step, sentence by sentence.
        losses: of every step.
        memory_mib: the most memory held: of the GPU where there is one, else of the process.
    """

    timing: Timing
    losses: tuple[float, ...]
    memory_mib: float

    def away_from(self, other: Steps) -> float:
        """By how much of the other's loss this one's is away, in the step where it is most."""
        return max(abs(ours - theirs) / theirs for ours, theirs in zip(self.losses, other.losses, strict=True))


def first_steps(settings: Settings, cache: Path, steps: int, device: str) -> Steps:
    """Train a fresh model for so many steps, at least two; to be called in a fresh process.

    Args:
        settings: the recipe; the loader has no workers where it says so.
        cache: folder of the prepared data, with enough of the split train.
        steps: of the optimiser.
        device: as `pick_device` takes it.
    """
    data, place = Cache.open(cache), pick_device(device)
    trainer = Trainer(starting_bundle(settings, data), settings, data, place)
    reports = list(islice(trainer.steps(), steps))
    seconds = tuple(settings.loop.batch_size / report.samples_per_second for report in reports[1:])
    return Steps(Timing(seconds, settings.loop.batch_size), tuple(report.loss for report in reports), most_held_mib(place))
