"""One process of a training run, as the tests start it: begins a run or goes on with one, to its end or its own.

Run with `job` among the globals: `folder`, `cache`, `settings`, `environment`, `resume`, `stop_after` (steps, or None).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any


def train(folder: Path, cache: Path, settings: dict[str, Any], resume: bool, stop_after: int | None) -> None:
    import torch

    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.config import Settings
    from cmirnet_cli.engine.devices import leaving_in_order
    from cmirnet_cli.engine.training.loop import Trainer
    from cmirnet_cli.engine.training.run_directory import RunDirectory
    from cmirnet_cli.engine.training.start import resumed_trainer, starting_bundle

    torch.set_num_threads(1)
    data, chosen, device = Cache.open(cache), Settings.model_validate(settings), torch.device("cpu")
    if resume:
        directory = RunDirectory.open(folder)
        trainer = resumed_trainer(directory, chosen, data, device)
        if trainer.is_main:
            directory.rewind(trainer.steps_taken, trainer.progress.epoch, chosen)
    else:
        trainer = Trainer(starting_bundle(chosen, data), chosen, data, device)
        directory = RunDirectory(folder)
        if trainer.is_main:
            RunDirectory.create(folder, chosen, data.manifest.fingerprint.key)
    with leaving_in_order():
        trainer.run(directory, [StopAfter(stop_after)])


class StopAfter:
    """A callback that asks its own process to stop."""

    def __init__(self, steps: int | None) -> None:
        self.steps = steps

    def step(self, report: Any) -> None:
        if report.step == self.steps:
            os.kill(os.getpid(), signal.SIGTERM)

    def epoch(self, report: Any) -> None:
        pass


if "job" in globals():
    job = globals()["job"]
    os.environ.update(job.pop("environment"))
    multiprocessing.set_start_method("fork", force=True)  # else the workers that load data import torch anew
    train(**job)
