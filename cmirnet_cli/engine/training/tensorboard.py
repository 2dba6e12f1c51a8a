"""A run's numbers as TensorBoard events, for those who watch many runs beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cmirnet_cli.engine.training.callbacks import EpochReport, StepReport
from cmirnet_cli.errors import UsageError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class EventLog:
    """A `Callback` that writes events."""

    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer

    def step(self, report: StepReport) -> None:
        """Loss, learning rate and speed over the steps."""
        for name in ("loss", "lr", "samples_per_second", "data_wait"):
            self._writer.add_scalar(f"train/{name}", getattr(report, name), report.step)

    def epoch(self, report: EpochReport) -> None:
        """The validation's scores over the steps."""
        for name in ("overall_iou", "mean_iou"):
            if (score := getattr(report, name)) is not None:
                self._writer.add_scalar(f"val/{name}", score, report.step)


def require_tensorboard() -> None:
    """Refuse a run that could not write its events.

    Raises:
        UsageError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError as error:
        raise UsageError("loop.tensorboard needs the package tensorboard", hint="pip install 'cmirnet[logging]'") from error


@contextmanager
def event_log(folder: Path, taken: int) -> Iterator[EventLog]:
    """Events in `folder`; those after `taken` steps, which a resumed run takes again, are hidden."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=taken + 1) as writer:
        yield EventLog(writer)
