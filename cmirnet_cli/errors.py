"""Every error a user can meet, and the exit code it ends with.

    CmirnetError                    1  something failed while running
    ├── DivergedError               1  the loss is no longer a number
    ├── UsageError                  2  the command line cannot be understood
    │   └── ConfigError             2  a setting is unknown or has a value it cannot have
    ├── DataError                   3  data are missing, broken or contradictory
    │   ├── AnnotationError         3  an annotation file (pickle, JSON, JSONL)
    │   ├── ImageError              3  one image
    │   └── CacheError              3  a prepared cache
    ├── WeightsError                4  a weights folder or checkpoint
    ├── ExportError                 5  an exported model that does not agree with its weights
    └── StoppedError                   somebody asked a long run to stop; it saved first
        ├── InterruptedRunError   130  with Ctrl-C
        └── TerminatedRunError    143  with SIGTERM

A message says what is wrong and with which value; the hint says what to do now.
"""


class CmirnetError(Exception):
    """Base of all errors that are reported without a traceback."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class DivergedError(CmirnetError):
    """The loss of a training step is no longer a number; `sent_ids` name the sentences of its batch."""

    def __init__(self, message: str, hint: str, sent_ids: tuple[int, ...]) -> None:
        super().__init__(message, hint)
        self.sent_ids = sent_ids


class UsageError(CmirnetError):
    """The command line cannot be understood."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown or has a value it cannot have."""


class DataError(CmirnetError):
    """Data are missing, broken or contradictory."""

    exit_code = 3


class AnnotationError(DataError):
    """An annotation file cannot be read or contradicts itself."""


class ImageError(DataError):
    """An image cannot be read."""


class CacheError(DataError):
    """A prepared cache is missing, damaged or made for something else."""


class WeightsError(CmirnetError):
    """A weights folder or checkpoint cannot be used."""

    exit_code = 4


class ExportError(CmirnetError):
    """An exported model does not agree with the weights it came from."""

    exit_code = 5


class StoppedError(CmirnetError):
    """Somebody asked a long run to stop; its state is saved."""


class InterruptedRunError(StoppedError):
    """Stopped with Ctrl-C."""

    exit_code = 130


class TerminatedRunError(StoppedError):
    """Stopped with SIGTERM."""

    exit_code = 143
