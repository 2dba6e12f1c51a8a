"""`cmirnet train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import BatchSize, CacheDir, Dataset, Device, Seed, SplitBy, Workers

if TYPE_CHECKING:
    from cmirnet_cli.config import Settings
    from cmirnet_cli.console import Advance
    from cmirnet_cli.engine.run_directory import EpochReport, RunDirectory, StepReport
    from cmirnet_cli.engine.training import Trainer

InitFrom: TypeAlias = Annotated[
    str | None, typer.Option("--init-from", metavar="WEIGHTS", help="Start anew from these: folder, run, hub id or official .pth.")
]
BackboneWeights: TypeAlias = Annotated[
    str | None, typer.Option("--backbone-weights", metavar="imagenet|none|FILE", help="What the trunk starts from; imagenet by default.")
]


def train(
    preset: Annotated[str | None, typer.Option("--preset", metavar="NAME|FILE", help="Settings to start from; see presets ls.")] = None,
    backbone: Annotated[str | None, typer.Option("--backbone", metavar="NAME", help="swin-b, swin-l, resnet50, resnet101, …")] = None,
    dataset: Dataset = None,
    split_by: SplitBy = None,
    cache: CacheDir = None,
    init_from: InitFrom = None,
    backbone_weights: BackboneWeights = None,
    run_dir: Annotated[Path | None, typer.Option("--run-dir", metavar="DIR", help="Where the run is kept; runs/NAME by default.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, metavar="N", help="Passes over the training split.")] = None,
    batch_size: BatchSize = None,
    lr: Annotated[float | None, typer.Option("--lr", metavar="X", help="Base learning rate.")] = None,
    seed: Seed = None,
    workers: Workers = None,
    device: Device = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="A.B=V", help="Any setting; can be repeated.")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print every setting and stop.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build everything, take one step, and stop.")] = False,
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
        "loop.seed": seed,
        "loop.init_from": init_from,
        "loop.backbone_weights": backbone_weights,
    }
    settings = _resolve(preset, flags, set_ or [])
    if print_config:
        return _print_settings(settings)
    trainer = _build(settings, device)
    return _try_one_step(trainer) if dry_run else _run(trainer, run_dir)


def _resolve(preset: str | None, flags: Mapping[str, object], overrides: list[str]) -> Settings:
    import os

    from cmirnet_cli.config import resolve

    return resolve(preset, os.environ, flags, overrides)


def _print_settings(settings: Settings) -> None:
    from cmirnet_cli.config import to_yaml

    console.result({"settings": settings.model_dump(mode="json")}, to_yaml(settings).rstrip())


def _build(settings: Settings, device: str) -> Trainer:
    """Everything a run needs, from the settings."""
    from cmirnet_cli.cache.find import find_cache
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.engine.devices import pick_device
    from cmirnet_cli.engine.start import starting_bundle
    from cmirnet_cli.engine.training import Trainer

    cache = Cache.open(find_cache(settings.data.cache, settings.data.dataset, settings.data.split_by))
    target = pick_device(device)
    return Trainer(starting_bundle(settings, cache, console.notice), settings, cache, target)


def _try_one_step(trainer: Trainer) -> None:
    from dataclasses import asdict

    trial = asdict(trainer.try_one_step())
    rows = [(name.replace("_", " "), f"{value:,.3g}" if isinstance(value, float) else value) for name, value in trial.items()]
    console.result(trial, console.table(None, ["dry run", ""], rows))


def _run(trainer: Trainer, folder: Path | None) -> None:
    from cmirnet_cli.engine.run_directory import RunDirectory, new_run_folder

    settings, manifest = trainer.settings, trainer.cache.manifest
    folder = folder or new_run_folder(Path("runs"), f"{manifest.dataset}-{manifest.split_by}-{settings.model.backbone}")
    directory = RunDirectory.create(folder, settings, manifest.fingerprint.key)
    console.notice(f"training {settings.model.backbone} on {manifest.dataset} ({manifest.split_by}) into {folder}")
    with console.progress("train", settings.schedule.epochs * trainer.steps_per_epoch) as advance:
        history = trainer.run(directory, _Display(advance))
    _show(directory, history)


class _Display:
    """Shows a training run while it goes on."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def step(self, report: StepReport) -> None:
        """Move the progress bar on."""
        rate, waiting = f"{report.samples_per_second:.1f}", f"{report.data_wait:.0%}"
        self._advance(1, **{"loss": report.loss, "lr": f"{report.lr:.2e}", "samples/s": rate, "waiting for data": waiting})

    def epoch(self, report: EpochReport) -> None:
        """Say how the epoch went."""
        from cmirnet_cli.engine.run_directory import describe

        console.notice(describe(report))


def _show(directory: RunDirectory, history: list[EpochReport]) -> None:
    """The result of a run: its best epoch, where the weights lie, the curves as a picture."""
    from cmirnet_cli.reports.curves import CurvePoint, training_curves
    from cmirnet_cli.reports.files import write_image

    picture = directory.folder / "curves.png"
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
