"""`cmirnet train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from cmirnet_cli.commands.models import warn_if_slow
from cmirnet_cli.console import console
from cmirnet_cli.options import BatchSize, CacheDir, Dataset, Device, Seed, SplitBy, Workers

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.config import Settings
    from cmirnet_cli.console import Advance
    from cmirnet_cli.engine.training.callbacks import EpochReport, StepReport
    from cmirnet_cli.engine.training.loop import Trainer
    from cmirnet_cli.engine.training.run_directory import RunDirectory

InitFrom: TypeAlias = Annotated[
    str | None, typer.Option("--init-from", metavar="WEIGHTS", help="Start anew from these: folder, run, hub id or official .pth.")
]
BackboneWeights: TypeAlias = Annotated[
    str | None, typer.Option("--backbone-weights", metavar="imagenet|none|FILE", help="What the backbone starts from; imagenet by default.")
]


def train(
    preset: Annotated[str | None, typer.Option("--preset", metavar="NAME|FILE", help="Settings to start from; see presets ls.")] = None,
    backbone: Annotated[str | None, typer.Option("--backbone", metavar="NAME", help="swin-b, swin-l, resnet50, resnet101, …")] = None,
    dataset: Dataset = None,
    split_by: SplitBy = None,
    cache: CacheDir = None,
    init_from: InitFrom = None,
    backbone_weights: BackboneWeights = None,
    resume: Annotated[Path | None, typer.Option("--resume", metavar="RUN", help="Resume this run; --epochs may grow.")] = None,
    run_dir: Annotated[Path | None, typer.Option("--run-dir", metavar="DIR", help="Where the run is kept; runs/NAME by default.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, metavar="N", help="Passes over the training split.")] = None,
    batch_size: BatchSize = None,
    lr: Annotated[float | None, typer.Option("--lr", metavar="X", help="Base learning rate.")] = None,
    freeze_text: Annotated[
        bool, typer.Option("--freeze-text", help="Leave the text encoder as it is; what cache-features stored then stands in for it.")
    ] = False,
    precision: Annotated[str | None, typer.Option("--precision", metavar="fp32|bf16|fp16", help="Number format of the network.")] = None,
    sync_bn: Annotated[bool | None, typer.Option("--sync-bn", help="Batch norm over all processes (GPUs only).")] = None,
    seed: Seed = None,
    workers: Workers = None,
    device: Device = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="A.B=V", help="Any setting; can be repeated.")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print every setting and stop.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build everything, take two steps, and stop.")] = False,
) -> None:
    """Train, validate and keep the best weights in a run directory.

    Example: cmirnet train --backbone swin-b --dataset refcocog --split-by umd
    """
    flags = {
        "model.backbone": backbone,
        "data.dataset": dataset,
        "data.split_by": split_by,
        "data.cache": cache,
        "data.workers": workers,
        "schedule.epochs": epochs,
        "loop.batch_size": batch_size,
        "optimizer.lr": lr,
        "text.train": "none" if freeze_text else None,
        "loop.precision": precision,
        "loop.sync_batch_norm": sync_bn,
        "loop.seed": seed,
        "loop.init_from": init_from,
        "loop.backbone_weights": backbone_weights,
    }
    directory = _open(resume, {"--preset": preset, "--run-dir": run_dir}) if resume else None
    settings = _resolve(directory.folder / "config.yaml" if directory else preset, flags, set_ or [])
    if print_config:
        return _print_settings(settings)
    return _train(directory, settings, device, run_dir, dry_run)


def _resolve(preset: str | Path | None, flags: Mapping[str, object], overrides: list[str]) -> Settings:
    import os

    from cmirnet_cli.config import resolve

    return resolve(preset, os.environ, flags, overrides)


def _open(folder: Path, refused: Mapping[str, object]) -> RunDirectory:
    """A run that was begun, beside which no other options may be given."""
    from cmirnet_cli.engine.training.run_directory import RunDirectory

    if given := [name for name, value in refused.items() if value is not None]:
        raise typer.BadParameter(f"{given[0]} cannot be given with --resume: a run goes on as it was begun")
    return RunDirectory.open(folder)


def _print_settings(settings: Settings) -> None:
    from cmirnet_cli.config import to_yaml

    console.result({"settings": settings.model_dump(mode="json")}, to_yaml(settings).rstrip())


def _train(directory: RunDirectory | None, settings: Settings, device: str, run_dir: Path | None, dry_run: bool) -> None:
    """Go on in the directory of a run; without one, begin a run; or only try its first steps."""
    from cmirnet_cli.engine.devices import leaving_in_order

    with leaving_in_order():
        trainer = _resumed(directory, settings, device) if directory else _prepared(settings, device)
        warn_if_slow(settings.loop.precision, trainer.accelerator.device)
        if dry_run:
            _try_steps(trainer)
        elif directory:
            _go_on(trainer, directory)
        else:
            _begin(trainer, run_dir)


def _prepared(settings: Settings, device: str) -> Trainer:
    """Everything a new run needs, from the settings."""
    from cmirnet_cli.engine.devices import pick_device
    from cmirnet_cli.engine.text_features import features_to_begin_with
    from cmirnet_cli.engine.training.loop import Trainer
    from cmirnet_cli.engine.training.start import starting_bundle

    cache = _cache(settings)
    target = pick_device(device)
    bundle = starting_bundle(settings, cache, console.notice)
    return Trainer(bundle, settings, cache, target, features_to_begin_with(bundle, settings, cache, console.notice))


def _cache(settings: Settings) -> Cache:
    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import Cache

    return Cache.open(find_cache(settings.data.cache, settings.data.dataset, settings.data.split_by))


def _try_steps(trainer: Trainer) -> None:
    from dataclasses import asdict

    from cmirnet_cli.engine.training.dry_run import dry_run

    trial = asdict(dry_run(trainer))
    if trial["timed_step"] == 1:
        console.notice("only a first step could be timed, which also starts everything: the others are faster")
    rows = [(name.replace("_", " "), f"{value:,.3g}" if isinstance(value, float) else value) for name, value in trial.items()]
    console.result(trial, console.table(None, ["dry run", ""], rows))


def _begin(trainer: Trainer, folder: Path | None) -> None:
    """A new run, in a new folder."""
    from cmirnet_cli.engine.devices import said_by_main
    from cmirnet_cli.engine.training.run_directory import RunDirectory, new_run_folder

    settings, manifest = trainer.settings, trainer.cache.manifest
    name = f"{manifest.dataset}-{manifest.split_by}-{settings.model.backbone}"
    folder = folder or said_by_main(new_run_folder(Path("runs"), name))
    directory = RunDirectory(folder)
    if trainer.is_main:
        features = trainer.features.manifest.digest if trainer.features else None
        RunDirectory.create(folder, settings, manifest.fingerprint.key, features)
    console.notice(f"training {settings.model.backbone} on {manifest.dataset} ({manifest.split_by}) into {folder}")
    _run(trainer, directory)


def _resumed(directory: RunDirectory, settings: Settings, device: str) -> Trainer:
    from cmirnet_cli.engine.devices import pick_device
    from cmirnet_cli.engine.training.start import resumed_trainer

    return resumed_trainer(directory, settings, _cache(settings), pick_device(device), console.notice)


def _go_on(trainer: Trainer, directory: RunDirectory) -> None:
    if trainer.is_main:
        directory.rewind(trainer.steps_taken, trainer.progress.epoch, trainer.settings)
    _run(trainer, directory)


def _run(trainer: Trainer, directory: RunDirectory) -> None:
    with console.progress("train", trainer.steps_total) as advance:
        advance(trainer.steps_taken)
        trainer.run(directory, [_Display(advance)])
    if trainer.is_main:
        _show(directory)


class _Display:
    """Shows a training run while it goes on."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def step(self, report: StepReport) -> None:
        """Move the progress bar on."""
        shown = {
            "loss": report.loss,
            "lr": f"{report.lr:.2e}",
            "samples/s": f"{report.samples_per_second:.1f}",
            "waiting for data": f"{report.data_wait:.0%}",
            "GiB": f"{report.memory_gib:.1f}",
        }
        self._advance(1, **shown)

    def epoch(self, report: EpochReport) -> None:
        """Say how the epoch went."""
        from cmirnet_cli.engine.training.callbacks import describe

        console.notice(describe(report))


def _show(directory: RunDirectory) -> None:
    """The result of a run: its best epoch, where the weights lie, the curves as a picture."""
    from cmirnet_cli.files import write_image
    from cmirnet_cli.reports.pictures.curves import CurvePoint, training_curves

    picture, history = directory.folder / "curves.png", directory.epochs()
    points = [CurvePoint(each.epoch, each.loss, each.overall_iou, each.mean_iou, each.lr) for each in history]
    write_image(picture, training_curves(points))
    best = [report for report in history if report.best][-1]
    shown = {"epoch": best.epoch, "overall_iou": best.overall_iou, "mean_iou": best.mean_iou}
    row = [best.epoch, f"{best.overall_iou:.2f}", f"{best.mean_iou:.2f}"]
    weights = directory.weights / "best"
    console.result(
        {"run": directory.folder, "weights": weights, "curves": picture, "best": shown},
        console.table("best epoch on val", ["epoch", "overall IoU", "mean IoU"], [row]),
        f"weights: {weights}",
        f"curves: {picture}",
    )
