"""First steps, to see that everything fits and what a run will cost. Light: imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from cmirnet_cli.errors import CmirnetError

if TYPE_CHECKING:
    from cmirnet_cli.engine.training.loop import Trainer

STEPS = 2
"""The first one also starts the processes that load, and claims memory."""


@dataclass(frozen=True)
class DryRun:
    """What first steps showed.

    Attributes:
        loss: of the last of them.
        timed_step: which of them was timed: the last; 1 where the epoch had only one left.
        seconds_per_step: of that step, waiting for data included.
        total_hours: what the steps of all epochs would take at that pace.
        steps_per_epoch: of the whole run's.
        parameters: of the model.
        trained_parameters: those of them that change.
        peak_memory_gib: at its peak: of the GPU where there is one, else of this process.
    """

    loss: float
    timed_step: int
    seconds_per_step: float
    total_hours: float
    steps_per_epoch: int
    parameters: int
    trained_parameters: int
    peak_memory_gib: float


def dry_run(trainer: Trainer) -> DryRun:
    """Take the next steps of the epoch under way; nothing is written.

    Raises:
        CmirnetError: the epoch has all its steps.
        DivergedError: the loss is no longer a number.
    """
    reports = list(islice(trainer.steps(), STEPS))
    if not reports:
        done = f"all {trainer.steps_per_epoch} steps of epoch {trainer.progress.epoch + 1} are taken, only its validation is left"
        raise CmirnetError(f"no step can be tried: {done}", hint="leave out --dry-run to continue")
    seconds = reports[-1].seconds
    parameters = list(trainer.bundle.model.parameters())
    return DryRun(
        loss=reports[-1].loss,
        timed_step=len(reports),
        seconds_per_step=seconds,
        total_hours=seconds * trainer.steps_total / 3600,
        steps_per_epoch=trainer.steps_per_epoch,
        parameters=sum(parameter.numel() for parameter in parameters),
        trained_parameters=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        peak_memory_gib=reports[-1].memory_gib,
    )
