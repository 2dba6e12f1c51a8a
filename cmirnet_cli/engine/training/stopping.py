"""Being asked to stop: Ctrl-C and SIGTERM become a request that the loop honours at its next safe moment."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cmirnet_cli.errors import InterruptedRunError, StoppedError, TerminatedRunError

PATIENCE = 1.0
"""Seconds within which a second signal counts as the same one."""


class StopRequest:
    """Whether somebody asked this process to stop, and how."""

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
