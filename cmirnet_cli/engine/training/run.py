"""`cmirnet.train`: a training run from its settings to its weights, started or resumed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from cmirnet_cli.cache.folder import find_cache
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.devices import leaving_in_order, pick_device, said_by_main
from cmirnet_cli.engine.processes import restart_warning, starts_first
from cmirnet_cli.engine.text_features import features_for_training
from cmirnet_cli.engine.threads import use_own_cores
from cmirnet_cli.engine.training.callbacks import Callback, EpochReport
from cmirnet_cli.engine.training.checks import check_run
from cmirnet_cli.engine.training.examples import examples_of
from cmirnet_cli.engine.training.loop import Trainer
from cmirnet_cli.engine.training.requirements import require_same_settings
from cmirnet_cli.engine.training.run_directory import AUTO, RunDirectory, new_run_folder
from cmirnet_cli.engine.training.start import require_known, resumed_trainer, starting_bundle
from cmirnet_cli.engine.training.tracking import tracked
from cmirnet_cli.errors import ConfigError, UsageError

RUNS = Path("runs")
"""Where runs are kept that are given no other place."""

Notice = Callable[[str], None]
Watch = Callable[[Trainer], AbstractContextManager[Sequence[Callback]]]
"""Opened around the epochs of a run; gives the callbacks that hear of its steps and epochs."""


@dataclass(frozen=True)
class TrainingResult:
    """A run that has ended.

    Attributes:
        directory: the run directory.
        epochs: how each epoch went, those before a resumption included; empty in all processes but the main one.
        is_main: whether this process is the one that writes and reports.
    """

    directory: RunDirectory
    epochs: tuple[EpochReport, ...]
    is_main: bool = True

    @property
    def best(self) -> EpochReport:
        """The epoch whose weights are in `weights/best`."""
        return [report for report in self.epochs if report.best][-1]

    @property
    def weights(self) -> Path:
        """The folder of the best weights."""
        return self.directory.weights / "best"


def train(
    settings: Settings | None = None,
    run_dir: Path | None = None,
    *,
    resume: RunDirectory | str | Path | None = None,
    device: str = "auto",
    watch: Watch = lambda trainer: nullcontext(()),
    notice: Notice = lambda line: None,
) -> TrainingResult:
    """Train, validate and keep the best weights in a run directory, as `cmirnet train` does.

    Args:
        settings: the whole recipe, the data set included.
        run_dir: where the run is kept; by default a new folder below `runs/`.
        resume: a run to resume, in its own directory and with its own settings; `settings` may only ask for more epochs.
            `auto`: the run in `run_dir` if one was begun there, else a new one; what schedulers that start a command again need.
        device: auto, cpu, cuda, cuda:N or mps; with several GPU processes each takes its own.
        watch: opened around the epochs with the trainer; gives more callbacks.
        notice: called with each line for the user.

    Raises:
        ConfigError: the settings contradict the weights that they start from, the data or the device.
        DataError: the cache is missing, incomplete, or another than the run was started with.
        WeightsError: pretrained weights or a checkpoint cannot be loaded.
        UsageError: there are neither settings nor a run to resume, the run directory is taken, or there is no such device.
        DivergedError: the loss is no longer a number.
        StoppedError: Ctrl-C or SIGTERM was received; the state is saved.
    """
    directory = _directory_to_resume(resume, run_dir)
    if settings is None:
        if directory is None:
            raise UsageError("there is nothing to train", hint="give settings, or a run to resume")
        settings = directory.settings()
    if settings.loop.tensorboard:
        notice("loop.tensorboard is called loop.track=tensorboard now; the old name will be removed in version 0.3")
    if warning := restart_warning():
        notice(warning)
    if resume == AUTO and directory is not None and directory.is_finished(settings.schedule.epochs):
        require_same_settings(directory.settings(), settings)
        notice(f"{directory.folder} has all its {settings.schedule.epochs} epochs")
        return TrainingResult(directory, tuple(directory.epochs()), starts_first())
    with leaving_in_order(), ExitStack() as holding:
        if directory is not None and starts_first():
            holding.enter_context(directory.held())
        trainer = prepared_trainer(settings, device, directory, notice, run_dir)
        _require_one_state(trainer, directory)
        if directory is None:
            directory = _new_run(trainer, run_dir)
            if trainer.is_main:
                holding.enter_context(directory.held())
            manifest = trainer.cache.manifest
            precision = trainer.settings.loop.precision
            notice(f"training {settings.model.name} on {manifest.dataset} ({manifest.split_by}) in {precision} into {directory.folder}")
        elif trainer.is_main:
            directory.rewind(trainer.steps_taken, trainer.progress.epoch, trainer.settings)
        with watch(trainer) as callbacks, _tracked(trainer, directory, notice) as trackers:
            trainer.run(directory, [*callbacks, *trackers])
        return TrainingResult(directory, tuple(directory.epochs()) if trainer.is_main else (), trainer.is_main)


def train_each(
    settings: Settings,
    seeds: Sequence[int],
    folder: Path | None = None,
    *,
    device: str = "auto",
    watch: Watch = lambda trainer: nullcontext(()),
    notice: Notice = lambda line: None,
) -> Iterator[TrainingResult]:
    """Train the recipe once with each seed, one run after the other: what `cmirnet train --seeds` does.

    Each run is a whole run directory, `seed-N` in `folder` (by default a new one below `runs/`). A run that lies there
    already is resumed; one that is finished is not trained again. The other arguments and the errors are those of `train`.
    """
    home = folder or new_home(settings)
    for seed in seeds:
        own = settings.model_copy(update={"loop": settings.loop.model_copy(update={"seed": seed})})
        yield train(own, home / f"seed-{seed}", resume=AUTO, device=device, watch=watch, notice=notice)


def new_home(settings: Settings) -> Path:
    """A folder for the runs of one recipe that does not exist yet."""
    return new_run_folder(RUNS, f"{settings.data.dataset or 'run'}-{_in_a_path(settings)}-seeds")


def prepared_trainer(
    settings: Settings,
    device: str = "auto",
    directory: RunDirectory | None = None,
    notice: Notice = lambda line: None,
    run_dir: Path | None = None,
) -> Trainer:
    """All that a run needs: its model, data and optimiser, at the start or where the newest checkpoint of `directory` left them.

    Raises as `train` does. Nothing is written.
    """
    check_run(settings, run_dir, directory)
    use_own_cores(settings.data.workers)
    require_known(settings)
    cache = Cache.open(find_cache(settings.data.cache, settings.data.dataset, settings.data.split_by))
    if directory is not None:
        return resumed_trainer(directory, settings, cache, pick_device(device), notice)
    place = pick_device(device)
    bundle = starting_bundle(settings, cache, notice)
    settings = settings.model_copy(update={"model": bundle.config.model})  # whose text_width is that of the encoder
    return Trainer(bundle, settings, cache, place, features_for_training(bundle, settings, cache, notice))


def _in_a_path(settings: Settings) -> str:
    """The name of the network as part of a folder's name: `timm/NAME` and `package.module:builder` with dashes."""
    return re.sub("[/:]", "-", settings.model.name)


def _directory_to_resume(resume: RunDirectory | str | Path | None, run_dir: Path | None) -> RunDirectory | None:
    if resume == AUTO:
        if run_dir is None:
            raise UsageError("resume 'auto' has no folder to look in", hint="name the run directory")
        return RunDirectory.found(run_dir)
    return RunDirectory.open(Path(resume)) if isinstance(resume, str | Path) else resume


def _tracked(trainer: Trainer, directory: RunDirectory, notice: Notice) -> AbstractContextManager[Sequence[Callback]]:
    """The trackers, which hear of the main process only."""
    if not trainer.is_main:
        return nullcontext(())
    return tracked(trainer.settings, directory.folder, trainer.steps_taken, lambda: examples_of(trainer), notice)


def _require_one_state(trainer: Trainer, directory: RunDirectory | None) -> None:
    """Refuse processes that would go on from different steps, as they do where each machine has a run directory of its own.

    Raises:
        ConfigError: they see other checkpoints than the main one.
    """
    first = said_by_main(trainer.steps_taken)
    if trainer.steps_taken != first:
        folder = directory.folder if directory else "the run directory"
        wrong = f"process {trainer.share.process} would continue after step {trainer.steps_taken} and the first after step {first}"
        raise ConfigError(f"{wrong}: they see different checkpoints", hint=f"keep {folder} on a disk that all machines share")


def _new_run(trainer: Trainer, folder: Path | None) -> RunDirectory:
    """A new run directory, which the main process makes and all know."""
    settings, manifest = trainer.settings, trainer.cache.manifest
    name = f"{manifest.dataset}-{manifest.split_by}-{_in_a_path(settings)}"
    folder = folder or said_by_main(new_run_folder(RUNS, name))
    if trainer.is_main:
        features = trainer.features.manifest.digest if trainer.features else None
        RunDirectory.create(folder, settings, manifest.fingerprint.key, features)
    return RunDirectory(folder)
