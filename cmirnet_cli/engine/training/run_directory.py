"""The run directory: what was run, on what, and how it went. docs/training.md lists its files. Light: imports no torch."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from cmirnet_cli.config import Settings, resolve, to_yaml
from cmirnet_cli.engine.environment import environment
from cmirnet_cli.engine.training.callbacks import EpochReport, StepReport, describe
from cmirnet_cli.errors import CmirnetError, DivergedError, UsageError, WeightsError
from cmirnet_cli.files import new_folder, sweep, write_text

STATE_FILE = "state.pt"

AUTO = "auto"
"""In the place of a run to resume: the one that lies in the run directory, or a new one."""


def checkpoint_name(epoch: int, step: int) -> str:
    """The name of the checkpoint after so many whole epochs and steps."""
    return f"epoch-{epoch:04d}-step-{step:08d}"


def checkpoints_in(folder: Path) -> list[Path]:
    """All checkpoints of a run, the newest last."""
    return sorted(folder.glob("epoch-*-step-*"))


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run; None where it has written none yet."""
    return max(checkpoints_in(folder), default=None)


CONFIG, ENVIRONMENT, METRICS, TABLE = "config.yaml", "env.json", "metrics.jsonl", "metrics.csv"
BAD_BATCH, LOCK = "bad-batch.json", "in-use"
Entry = TypeVar("Entry")

_EPOCH = TypeAdapter(EpochReport)
_DIGEST: TypeAdapter[str | None] = TypeAdapter(str | None)


class RunDirectory:
    """Where one training run keeps what it writes. It is a `Callback`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, settings: Settings, data_fingerprint: str, text_features: str | None = None) -> RunDirectory:
        """Make a new run directory and record what is about to run; it appears whole or not at all.

        `text_features` is the sha256 of those that stand in for the text encoder, if any do.

        Raises:
            UsageError: the folder exists and is not empty, or is a file.
            CmirnetError: it cannot be written.
        """
        require_new(folder)
        with new_folder(folder) as building:
            (building / CONFIG).write_text(to_yaml(settings), encoding="utf-8")
            facts = environment() | {"data": data_fingerprint, "text_features": text_features, "resumed": []}
            (building / ENVIRONMENT).write_text(_json(facts), encoding="utf-8")
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> RunDirectory:
        """A run that was begun.

        Raises:
            UsageError: there is none.
        """
        missing = [name for name in (CONFIG, ENVIRONMENT) if not (folder / name).is_file()]
        if missing:
            raise UsageError(f"{folder} is not a run directory: it has no {missing[0]}", hint="give the folder that `cmirnet train` made")
        return cls(folder)

    @classmethod
    def found(cls, folder: Path) -> RunDirectory | None:
        """The run that was begun in a folder, if one was."""
        return cls(folder) if all((folder / name).is_file() for name in (CONFIG, ENVIRONMENT)) else None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process from training in this run directory until the block ends or this process dies.

        The lock is POSIX's: it goes with this process, though its children live on, and holds on network disks too. Windows has none.

        Raises:
            UsageError: another process trains in it.
        """
        with (self.folder / LOCK).open("a+", encoding="utf-8") as handle:
            if not _locked(handle.fileno()):
                handle.seek(0)
                hint = "wait for it, stop it, or choose another --run-dir"
                raise UsageError(f"{handle.read().strip() or 'another process'} trains in {self.folder} already", hint=hint)
            handle.truncate(0)
            handle.write(f"process {os.getpid()} on {platform.node()}")
            handle.flush()
            yield

    def is_finished(self, epochs: int) -> bool:
        """Whether so many epochs are done, and their weights and checkpoint are written."""
        checkpoint = newest_checkpoint(self.checkpoints)
        return checkpoint is not None and checkpoint.name >= checkpoint_name(epochs, 0)

    @property
    def weights(self) -> Path:
        """The folder of `best` and `last`."""
        return self.folder / "weights"

    @property
    def checkpoints(self) -> Path:
        """The folder of the full states."""
        return self.folder / "checkpoints"

    @property
    def data(self) -> str:
        """The fingerprint of the data that the run was started with."""
        return self._recorded("data", str)

    @property
    def text_features(self) -> str | None:
        """The sha256 of the text features that the run was started with, if it was."""
        return self._recorded("text_features", _DIGEST.validate_python)

    @property
    def threads(self) -> int:
        """CPU threads of each process that the run was started with."""
        return self._recorded("threads", int)

    def settings(self) -> Settings:
        """The settings that the run was started with.

        Raises:
            ConfigError: config.yaml was changed into something that cannot be.
        """
        return resolve(self.folder / CONFIG)

    def step(self, report: StepReport) -> None:
        """Append a step to metrics.jsonl."""
        self._append(METRICS, json.dumps({"kind": "step"} | asdict(report)))

    def epoch(self, report: EpochReport) -> None:
        """Append an epoch to metrics.jsonl, metrics.csv and train.log."""
        self._append(METRICS, json.dumps({"kind": "epoch"} | asdict(report)))
        self._append(TABLE, _table([report], header=not (self.folder / TABLE).exists()))
        self.log(describe(report))

    def epochs(self) -> list[EpochReport]:
        """All epochs so far."""
        with self._damage_named(METRICS):
            return [_EPOCH.validate_python(line) for kind, line in self._lines() if kind == "epoch"]

    def require_kept(self) -> None:
        """Refuse a run that has lost its checkpoint, which would begin anew, or its best weights, which no later epoch may replace.

        A run that is killed in its first epoch has no checkpoint yet.

        Raises:
            WeightsError: names what is missing.
        """
        epochs, checkpoint = self.epochs(), newest_checkpoint(self.checkpoints)
        start = self.weights / "last" if checkpoint is None else checkpoint
        hint = f"copy it back, or start a new run with --init-from {start}"
        if checkpoint is None and len(epochs) > 1:
            raise WeightsError(f"{self.checkpoints} has no checkpoint, and {len(epochs)} epochs are done", hint=hint)
        best = self.weights / "best"
        if checkpoint and any(epoch.best for epoch in epochs) and not best.is_dir():
            raise WeightsError(f"{best} is missing, which holds the best weights of the run", hint=hint)

    def log(self, line: str) -> None:
        """Append a line to train.log, with the time."""
        self._append("train.log", f"{datetime.now(timezone.utc).isoformat(timespec='seconds')} {line}")

    def keep_bad_batch(self, step: int, problem: DivergedError) -> None:
        """Write down which batch the run ended on."""
        write_text(self.folder / BAD_BATCH, _json({"step": step, "problem": problem.message, "sent_ids": problem.sent_ids}))

    def rewind(self, step: int, epochs: int, settings: Settings) -> None:
        """Forget what was reported after `step` and after so many epochs, so that it can happen again; record the resumption."""
        for folder in (self.folder, self.weights, *self.weights.glob("*")):
            sweep(folder)
        resumed, last = self._recorded("resumed", list), {"step": step, "epoch": epochs}
        with self._damage_named(METRICS):
            kept = [(kind, line) for kind, line in self._lines() if line[kind] <= last[kind]]
        (self.folder / BAD_BATCH).unlink(missing_ok=True)
        write_text(self.folder / METRICS, "".join(json.dumps({"kind": kind} | line) + "\n" for kind, line in kept))
        write_text(self.folder / TABLE, _table(self.epochs(), header=True) + "\n")
        write_text(self.folder / CONFIG, to_yaml(settings))
        write_text(self.folder / ENVIRONMENT, _json(self._environment() | {"resumed": [*resumed, environment() | {"step": step}]}))
        self.log(f"resumed after step {step}")

    def _recorded(self, name: str, kind: Callable[[Any], Entry]) -> Entry:
        """One entry of env.json."""
        with self._damage_named(ENVIRONMENT):
            return kind(self._environment()[name])

    def _environment(self) -> dict[str, Any]:
        with self._damage_named(ENVIRONMENT):
            content: dict[str, Any] = json.loads((self.folder / ENVIRONMENT).read_text(encoding="utf-8"))
            return content

    def _lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Kind and content of the whole lines of metrics.jsonl; a killed process may have left half a line at the end."""
        path = self.folder / METRICS
        with self._damage_named(METRICS):
            for text in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else ():
                if text.endswith("\n"):
                    line = json.loads(text)
                    yield line.pop("kind"), line

    @contextmanager
    def _damage_named(self, name: str) -> Iterator[None]:
        """What Python raises on a file that is not as it was written becomes an error that names it."""
        try:
            yield
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            wrong = f"{self.folder / name} is damaged: {type(error).__name__}: {error}"
            raise CmirnetError(wrong, hint="put the file back as it was written, or start a new run with --init-from") from error

    def _append(self, name: str, text: str) -> None:
        with (self.folder / name).open("a", encoding="utf-8", newline="") as handle:
            handle.write(text + "\n")


def after_divergence(settings: Settings, run: Path | None = None) -> str:
    """What helps once the loss of a run is not a number: going on with it would end on the same batch again."""
    wider = "" if settings.loop.precision == "fp32" else " or --precision fp32"
    last = run and run / "weights" / "last"
    kept, start = (" from the last good weights", f"--init-from {last} ") if last and last.is_dir() else ("", "")
    return f"start a new run{kept} with a lower learning rate{wider}: cmirnet train {start}--lr {settings.optimizer.lr / 10:g}"


def require_new(folder: Path) -> None:
    """Refuse a place for a new run where something is.

    Raises:
        UsageError: it is a file, or a folder that is not empty.
    """
    if folder.is_file():
        raise UsageError(f"the run directory {folder} is a file", hint="choose another --run-dir")
    if folder.exists() and any(folder.iterdir()):
        hint = f"choose another --run-dir, or continue with: cmirnet train --resume {folder}"
        raise UsageError(f"the run directory {folder} already holds files", hint=hint)


def new_run_folder(root: Path, name: str) -> Path:
    """The first of `<root>/<name>`, `<root>/<name>-2`, … that does not exist yet."""
    candidates = (root / (name if number == 1 else f"{name}-{number}") for number in range(1, sys.maxsize))
    return next(folder for folder in candidates if not folder.exists())


def _locked(descriptor: int) -> bool:
    """Whether this process holds the lock of an open file now, or cannot tell: the system or the disk has no such locks."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


def _table(reports: list[EpochReport], *, header: bool) -> str:
    """Epochs as lines of CSV, without the last line's end."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(EpochReport)], lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(asdict(report) for report in reports)
    return text.getvalue().removesuffix("\n")


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
