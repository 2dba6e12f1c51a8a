"""Being asked to stop: Ctrl-C and SIGTERM become a request that the loop honours at its next safe moment."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cmirnet_cli.errors import InterruptedRunError, StoppedError, TerminatedRunError


class StopRequest:
    """Whether somebody asked this process to stop, and how."""

    signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def answer(self, message: str, hint: str) -> StoppedError:
        """The error that ends the program with the exit code that belongs to the signal."""
        kind = InterruptedRunError if self.signal == signal.SIGINT else TerminatedRunError
        return kind(message, hint=hint)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn Ctrl-C and SIGTERM into a request while the block runs. A second Ctrl-C interrupts at once, without saving.

    A launcher of several processes may pass the same signal on more than once, so SIGTERM never does.
    """
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        if request.signal == number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal = request.signal or number

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
