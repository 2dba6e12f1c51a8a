"""Every error a user can meet, and the exit code it ends with.

    CmirnetError                    1  something failed while running
    ├── DivergedError               1  the loss is no longer a number
    ├── UsageError                  2  the command line cannot be understood
    │   └── ConfigError             2  a setting is unknown or has a value it cannot have
    ├── DataError                   3  data are missing, broken or contradictory
    │   ├── AnnotationError         3  an annotation file (pickle, JSON, JSONL)
    │   ├── ImageError              3  one image
    │   ├── CacheError              3  a prepared cache
    │   └── StorageError            3  storage on other machines that refuses or does not answer
    │       └── NotThereError       3  a file, a bucket or an address that does not exist
    ├── WeightsError                4  a weights folder or checkpoint
    ├── ExportError                 5  an exported model that does not agree with its weights
    └── StoppedError                   a long run was stopped; it saved first
        ├── InterruptedRunError   130  with Ctrl-C
        └── TerminatedRunError    143  with SIGTERM

A message says what is wrong and with which value; the hint says what to do now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from reprlib import Repr

_SHORT = Repr()

_SHORT.maxlevel = 2

_SHORT.maxstring = _SHORT.maxother = 60


class CmirnetError(Exception):
    """Something failed while running: memory, disk, permissions, a measurement that does not hold.

    What to do: follow the hint; `--traceback` shows where in the code it occurred, for a bug report.

    Base of all errors that are reported without a traceback.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class DivergedError(CmirnetError):
    """The loss of a training step, or what the network gives in validation, is no longer a number.

    What to do: look at the sentences that the run's `bad-batch.json` names; start a new run from its last weights with a lower `--lr`.

    Attributes:
        sent_ids: the sentences of that step; none after a validation.
    """

    def __init__(self, message: str, hint: str, sent_ids: tuple[int, ...] = ()) -> None:
        super().__init__(message, hint)
        self.sent_ids = sent_ids


class UsageError(CmirnetError):
    """The command line cannot be understood, or asks for something impossible.

    What to do: correct the option that the message names; `cmirnet COMMAND --help` has an example.
    """

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown or has an impossible value.

    What to do: correct every setting that the message lists; `cmirnet train --print-config` shows all settings.
    """


class DataError(CmirnetError):
    """Data are missing, broken or contradictory.

    What to do: put the missing files where the message looked, or say where they are; `cmirnet doctor` shows what it finds.
    """

    exit_code = 3


class AnnotationError(DataError):
    """An annotation file (pickle, JSON, JSONL) cannot be read or contradicts itself.

    What to do: fetch the file again, or correct the record that the message names.
    """


class ImageError(DataError):
    """An image cannot be read.

    What to do: replace the file; `prepare-data --skip-bad` leaves such images out.
    """


class CacheError(DataError):
    """A prepared cache is missing, damaged or made for something else.

    What to do: prepare it with the command that the hint gives; `cmirnet cache verify` reads every byte.
    """


class StorageError(DataError):
    """A bucket, a repository or an address refuses or does not answer.

    What to do: check the credentials of its driver and the network; `--skip-existing` resumes the run.
    """

    exit_code = 3


class NotThereError(StorageError):
    """A file, a bucket or an address in storage does not exist.

    What to do: check the address.
    """


class WeightsError(CmirnetError):
    """A weights folder or checkpoint is missing, damaged or of the wrong kind, or its network gives something else than numbers.

    What to do: name a weights folder, a run, an official `.pth` file or a hub id; copy or download damaged files again.
    """

    exit_code = 4


class ExportError(CmirnetError):
    """A model cannot be exported, or does not agree with the weights it came from.

    What to do: choose another format or precision as the hint says; no export was written.
    """

    exit_code = 5


class StoppedError(CmirnetError):
    """A long run was stopped; its state is saved.

    What to do: nothing, or resume with the command that the hint gives.
    """


class InterruptedRunError(StoppedError):
    """A long run was stopped with Ctrl-C.

    What to do: nothing, or resume with the command that the hint gives.
    """

    exit_code = 130


class TerminatedRunError(StoppedError):
    """A long run was stopped with SIGTERM, as schedulers do.

    What to do: nothing, or resume with the command that the hint gives.
    """

    exit_code = 143


def first_line(error: Exception) -> str:
    """The first line of what an error says, or the name of its class; of all that pydantic finds wrong, the first, as `field: reason`."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return ": ".join(filter(None, [".".join(map(str, first["loc"])), in_plain_words(first["msg"])]))
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def in_plain_words(reason: str) -> str:
    """What pydantic says of a value, as the rest of a sentence about it."""
    return reason.replace("Input should be", "should be").removeprefix("Value error, ")


def listed(names: Sequence[str], shown: int = 8) -> str:
    """The first of many names, each cut to 80 characters, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(name[:80] for name in names[:shown]) + more


def counted(number: int, name: str) -> str:
    """A number of things: "1 image", "1,000 images"."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The hint about a name that none of `names` is: the nearest of them, or all."""
    names = tuple(names)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"choose one of {', '.join(names)}"


def shown(value: object) -> str:
    """`value` for an error message, cut to a readable length."""
    return _SHORT.repr(value)
