"""A first step, to see that everything fits and what a run will cost."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cmirnet_cli.engine.training import Trainer


@dataclass(frozen=True)
class Trial:
    """What one step showed: its loss, its time, the hours all epochs would take (validation aside), memory at its peak."""

    loss: float
    seconds_a_step: float
    hours_in_all: float
    steps_an_epoch: int
    parameters: int
    trained_parameters: int
    peak_memory_gib: float


def try_one_step(trainer: Trainer) -> Trial:
    """Take one step of the epoch under way; nothing is written."""
    started = time.perf_counter()
    report = next(trainer.steps())
    seconds = time.perf_counter() - started
    parameters = list(trainer.bundle.model.parameters())
    return Trial(
        loss=report.loss,
        seconds_a_step=seconds,
        hours_in_all=seconds * trainer.steps_per_epoch * trainer.settings.schedule.epochs / 3600,
        steps_an_epoch=trainer.steps_per_epoch,
        parameters=sum(parameter.numel() for parameter in parameters),
        trained_parameters=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        peak_memory_gib=report.memory_gib,
    )
