"""The run directory: what was run, on what, and how it went.

config.yaml     every setting, resolved
env.json        program, libraries, machine, git state, data fingerprint
metrics.jsonl   one line a step ("kind": "step") and one an epoch ("kind": "epoch")
metrics.csv     the epochs as a table
train.log       the same in plain words
weights/        best and last, self-contained
"""

from __future__ import annotations

import csv
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import torch

from cmirnet_cli.config import Settings, to_yaml
from cmirnet_cli.errors import UsageError

LIBRARIES = ("torch", "torchvision", "timm", "transformers", "accelerate", "h5py", "numpy", "pillow")


@dataclass(frozen=True)
class StepReport:
    """One optimiser step: `step` counts from 1 over the whole run; `data_wait` is the share of the time spent waiting for data."""

    epoch: int
    step: int
    loss: float
    lr: float
    samples_per_second: float
    data_wait: float


@dataclass(frozen=True)
class EpochReport:
    """One epoch, counted from 1. The scores (percent, protocol `paper`) are None where the epoch was not validated."""

    epoch: int
    loss: float
    lr: float
    seconds: float
    overall_iou: float | None
    mean_iou: float | None
    best: bool


class RunDirectory:
    """Where one training run keeps what it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, settings: Settings, data_fingerprint: str) -> RunDirectory:
        """Make a new run directory and record what is about to run.

        Raises:
            UsageError: the folder exists and is not empty, or is a file.
        """
        if folder.is_file():
            raise UsageError(f"the run directory {folder} is a file", hint="choose another --run-dir")
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"the run directory {folder} already holds files", hint="choose another --run-dir")
        folder.mkdir(parents=True, exist_ok=True)
        run = cls(folder)
        (folder / "config.yaml").write_text(to_yaml(settings), encoding="utf-8")
        (folder / "env.json").write_text(json.dumps(_environment() | {"data": data_fingerprint}, indent=2) + "\n", encoding="utf-8")
        return run

    @property
    def weights(self) -> Path:
        """The folder of `best` and `last`."""
        return self.folder / "weights"

    def record_step(self, report: StepReport) -> None:
        """Append a step to metrics.jsonl."""
        self._append("metrics.jsonl", json.dumps({"kind": "step"} | asdict(report)))

    def record_epoch(self, report: EpochReport) -> None:
        """Append an epoch to metrics.jsonl, metrics.csv and train.log."""
        self._append("metrics.jsonl", json.dumps({"kind": "epoch"} | asdict(report)))
        self._append_row(asdict(report))
        self.log(describe(report))

    def log(self, line: str) -> None:
        """Append a line to train.log, with the time."""
        self._append("train.log", f"{datetime.now(timezone.utc).isoformat(timespec='seconds')} {line}")

    def _append(self, name: str, line: str) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def _append_row(self, row: Mapping[str, object]) -> None:
        path = self.folder / "metrics.csv"
        new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


def new_run_folder(root: Path, name: str) -> Path:
    """The first of `<root>/<name>`, `<root>/<name>-2`, … that does not exist yet."""
    candidates = (root / (name if number == 1 else f"{name}-{number}") for number in range(1, sys.maxsize))
    return next(folder for folder in candidates if not folder.exists())


def describe(report: EpochReport) -> str:
    """An epoch in words."""
    scores = "" if report.overall_iou is None else f", overall IoU {report.overall_iou:.2f}, mean IoU {report.mean_iou:.2f}"
    best = ", best so far" if report.best else ""
    return f"epoch {report.epoch}: loss {report.loss:.4f}, lr {report.lr:.2e}, {report.seconds:.0f} s{scores}{best}"


def _environment() -> dict[str, object]:
    return {
        "program": version("cmirnet"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "git": _git_state(),
    }


def _git_state() -> dict[str, str] | None:
    """Commit and uncommitted files of the working folder; None outside a repository or without git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "changes": _git("status", "--porcelain")}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
