"""`cmirnet train`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from cmirnet_cli.commands.models import warn_if_slow
from cmirnet_cli.commands.train_seeds import draw_curves, seeds_named, train_seeds
from cmirnet_cli.console import console
from cmirnet_cli.options import CacheDir, Dataset, Device, SplitBy, Workers

if TYPE_CHECKING:
    from cmirnet_cli.config import Settings
    from cmirnet_cli.console import Advance
    from cmirnet_cli.engine.training.callbacks import Callback, EpochReport, StepReport
    from cmirnet_cli.engine.training.loop import Trainer
    from cmirnet_cli.engine.training.run import TrainingResult
    from cmirnet_cli.engine.training.run_directory import RunDirectory

_RECIPE, _START, _RUN, _LOOK = "Recipe", "What the weights start from", "The run", "Look before a long run"

InitFrom: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--init-from", metavar="WEIGHTS", help="Start a new run from these: folder, run, hub id or official .pth.", rich_help_panel=_START
    ),
]
BackboneWeights: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--backbone-weights",
        metavar="imagenet|none|FILE",
        help="What the backbone starts from; imagenet by default.",
        rich_help_panel=_START,
    ),
]


def train(
    preset: Annotated[
        str | None, typer.Option("--preset", metavar="NAME|FILE", help="Settings to start from; see presets ls.", rich_help_panel=_RECIPE)
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="NAME", help="swin-b, resnet50, …, or timm/NAME.", rich_help_panel=_RECIPE)
    ] = None,
    dataset: Dataset = None,
    split_by: SplitBy = None,
    cache: CacheDir = None,
    init_from: InitFrom = None,
    backbone_weights: BackboneWeights = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="RUN|auto", help="Resume this run, or start or resume the one in --run-dir.", rich_help_panel=_RUN
        ),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="Where the run is kept; runs/NAME by default.", rich_help_panel=_RUN)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, metavar="N", help="Passes over the training split.", rich_help_panel=_RECIPE)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, metavar="N", help="Sentences in a batch.", rich_help_panel=_RECIPE)
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", metavar="X", help="Base learning rate.", rich_help_panel=_RECIPE)] = None,
    freeze_text: Annotated[
        bool,
        typer.Option(
            "--freeze-text",
            help="Do not train the text encoder; use its stored output if there is any.",
            rich_help_panel=_RECIPE,
        ),
    ] = False,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="auto|fp32|bf16|fp16",
            help="Number format; auto: fp16 on CUDA, else fp32.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    sync_bn: Annotated[
        bool | None, typer.Option("--sync-bn", help="Batch norm over all processes (GPUs only).", rich_help_panel=_RECIPE)
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="N", help="Seed of everything random.", rich_help_panel=_RECIPE)
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", metavar="N,N,…", help="One run for each seed, in --run-dir/seed-N; unfinished ones resume.", rich_help_panel=_RUN
        ),
    ] = None,
    track: Annotated[
        str | None,
        typer.Option("--track", metavar="NAME,…", help="Also report to tensorboard, wandb, mlflow, trackio, …", rich_help_panel=_RUN),
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=V", help="Any setting; can be repeated.", rich_help_panel=_RECIPE)
    ] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print every setting and stop.", rich_help_panel=_LOOK)] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build everything, take two steps, and stop.", rich_help_panel=_LOOK)] = False,
) -> None:
    """Train, validate and keep the best weights in a run directory.

    Example: cmirnet train --backbone swin-b --dataset refcocog --split-by umd
    """
    from cmirnet_cli.config import resolve, to_yaml

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
        "loop.track": track,
        "loop.init_from": init_from,
        "loop.backbone_weights": backbone_weights,
    }
    named_seeds = seeds_named(seeds, seed) if seeds is not None else []
    auto = str(resume) == "auto"
    directory = _open(resume, {"--preset": preset, "--run-dir": run_dir, "--seeds": seeds}) if resume and not auto else None
    settings = resolve(directory.folder / "config.yaml" if directory else preset, os.environ, flags, set_ or [])
    if auto and not named_seeds:
        directory = _found(run_dir)
    if print_config:
        console.result({"settings": settings.model_dump(mode="json")}, to_yaml(settings).rstrip())
        return
    from cmirnet_cli.engine.training.checks import check_run

    check_run(settings, None if named_seeds else run_dir, directory)
    if dry_run:
        _try_steps(settings, device, directory)
    elif named_seeds:
        train_seeds(settings, named_seeds, run_dir, device, _watched)
    else:
        from cmirnet_cli.engine.training.run import train as run_training

        resumed = "auto" if auto else directory
        result = run_training(settings, run_dir, resume=resumed, device=device, watch=_watched, notice=console.notice)
        if result.is_main:
            _show(result)


def _open(folder: Path, refused: Mapping[str, object]) -> RunDirectory:
    """A run that was begun, beside which no other options may be given."""
    from cmirnet_cli.engine.training.run_directory import RunDirectory

    if given := [name for name, value in refused.items() if value is not None]:
        raise typer.BadParameter(f"{given[0]} cannot be given with --resume: a run continues as it was started")
    return RunDirectory.open(folder)


def _found(run_dir: Path | None) -> RunDirectory | None:
    """The run that `--resume auto` continues, if one was begun in the run directory."""
    from cmirnet_cli.engine.training.run_directory import RunDirectory

    if run_dir is None:
        raise typer.BadParameter("--resume auto has no folder to look in: add --run-dir DIR")
    return RunDirectory.found(run_dir)


def _try_steps(settings: Settings, device: str, directory: RunDirectory | None) -> None:
    """Build everything and take the first steps; nothing is written."""
    from dataclasses import asdict

    from cmirnet_cli.engine.devices import leaving_in_order
    from cmirnet_cli.engine.training.dry_run import dry_run
    from cmirnet_cli.engine.training.run import prepared_trainer

    with leaving_in_order():
        trainer = prepared_trainer(settings, device, directory, console.notice)
        warn_if_slow(trainer.settings.loop.precision, trainer.accelerator.device)
        measured = asdict(dry_run(trainer))
    if measured["timed_step"] == 1:
        console.notice("only a first step could be timed, which also starts everything: the others are faster")
    rows = [(name.replace("_", " "), f"{value:,.3g}" if isinstance(value, float) else value) for name, value in measured.items()]
    console.result(measured, console.table(None, ["dry run", ""], rows))


@contextmanager
def _watched(trainer: Trainer) -> Iterator[list[Callback]]:
    """Shows a run while it goes on."""
    warn_if_slow(trainer.settings.loop.precision, trainer.accelerator.device)
    with console.progress("train", trainer.steps_total) as advance:
        advance(trainer.steps_taken)
        yield [_Display(advance)]


class _Display:
    """The callback that moves the progress bar on."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def step(self, report: StepReport) -> None:
        """Move the progress bar on."""
        shown = {
            "loss": report.loss,
            "lr": f"{report.lr:.2e}",
            "samples/s": f"{report.samples_per_second:.1f}",
            "GiB": f"{report.memory_gib:.1f}",
            "waiting for data": f"{report.data_wait:.0%}",
        }
        self._advance(1, **shown)

    def epoch(self, report: EpochReport) -> None:
        """Say how the epoch went."""
        from cmirnet_cli.engine.training.callbacks import describe

        console.notice(describe(report))


def _show(result: TrainingResult) -> None:
    """The best epoch, where the weights lie, the curves as a picture."""
    folder, best = result.directory.folder, result.best
    curves = draw_curves(result)
    scores = {"epoch": best.epoch, "overall_iou": best.overall_iou, "mean_iou": best.mean_iou}
    row = [best.epoch, f"{best.overall_iou:.2f}", f"{best.mean_iou:.2f}"]
    console.result(
        {"run": folder, "weights": result.weights, "curves": curves, "best": scores},
        console.table("best epoch on val", ["epoch", "overall IoU", "mean IoU"], [row]),
        f"weights: {result.weights}",
        f"curves: {curves}",
    )
