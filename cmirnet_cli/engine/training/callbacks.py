"""What a training run reports and to whom, and how it is stopped. Light: imports no torch."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from cmirnet_cli.errors import InterruptedRunError, StoppedError, TerminatedRunError


@dataclass(frozen=True)
class StepReport:
    """One optimiser step.

    Attributes:
        epoch: counted from 1.
        step: counted from 1 over the whole run.
        loss: of the whole batch, over all processes.
        lr: of the next step.
        seconds: that it took, waiting for data included.
        samples_per_second: of all processes together.
        data_wait: share of the step's time that this process waited for data.
        memory_gib: at its peak so far: of the GPU where there is one, else of this process.
    """

    epoch: int
    step: int
    loss: float
    lr: float
    seconds: float
    samples_per_second: float
    data_wait: float
    memory_gib: float


@dataclass(frozen=True)
class EpochReport:
    """One epoch.

    Attributes:
        epoch: counted from 1.
        step: the last one of the epoch, counted from 1 over the whole run.
        loss: mean over its steps.
        lr: of the next step.
        seconds: that its steps and its validation took, without what was written and shown meanwhile.
        overall_iou: percent, protocol `paper`; None where the epoch was not validated.
        mean_iou: as `overall_iou`.
        best: whether the score by which weights are selected is the highest so far.
    """

    epoch: int
    step: int
    loss: float
    lr: float
    seconds: float
    overall_iou: float | None
    mean_iou: float | None
    best: bool


class Callback(Protocol):
    """Hears how the training goes, to show it to somebody or to write it down."""

    def step(self, report: StepReport) -> None:
        """An optimiser step was taken."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch ended."""


def describe(report: EpochReport) -> str:
    """An epoch in words."""
    scores = "" if report.overall_iou is None else f", overall IoU {report.overall_iou:.2f}, mean IoU {report.mean_iou:.2f}"
    best = ", best so far" if report.best else ""
    return f"epoch {report.epoch}: loss {report.loss:.4f}, lr {report.lr:.2e}, {report.seconds:.0f} s{scores}{best}"


PATIENCE = 1.0
"""Seconds within which a second signal counts as the same one."""


class StopRequest:
    """Whether this process received a request to stop, and by which signal."""

    signal: int | None = None
    since: float | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def answer(self, message: str, hint: str) -> StoppedError:
        """The error that ends the program with the exit code that belongs to the signal."""
        kind = InterruptedRunError if self.signal == signal.SIGINT else TerminatedRunError
        return kind(message, hint=hint)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn Ctrl-C and SIGTERM into a request while the block runs. Another Ctrl-C, later, interrupts at once, without saving.

    "Later", because a launcher of several processes passes on a signal that they have already received themselves.
    """
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and request.since is not None and time.monotonic() - request.since > PATIENCE:
            raise KeyboardInterrupt
        if not request:
            request.signal, request.since = number, time.monotonic()

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
