"""`cmirnet train --seeds`: one run for each seed, one after the other, in one folder; and the curves of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import StoppedError

if TYPE_CHECKING:
    from cmirnet_cli.config import Settings
    from cmirnet_cli.engine.training.run import TrainingResult, Watch


def seeds_named(text: str, other: int | None = None) -> list[int]:
    """Seeds as typed, with commas between them, beside which no `other` one may be given."""
    if other is not None:
        raise typer.BadParameter("--seed cannot be given with --seeds, which names them all")
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"\d+", word) for word in words):
        raise typer.BadParameter(f"--seeds {text}: expected whole numbers separated by commas, such as 0,1,2")
    seeds = [int(word) for word in words]
    if len(set(seeds)) < len(seeds):
        raise typer.BadParameter(f"--seeds {text}: a seed is named twice, and both runs would be the same")
    return seeds


def train_seeds(settings: Settings, seeds: Sequence[int], folder: Path | None, device: str, watch: Watch) -> None:
    """Train each of the runs that is not finished yet, and show what all of them came to."""
    from cmirnet_cli.engine.training.checks import check_run
    from cmirnet_cli.engine.training.run import new_home, train_each
    from cmirnet_cli.engine.training.run_directory import RunDirectory

    home, results = folder or new_home(settings), []
    for seed in seeds:  # before the first of them takes its hours
        own = settings.model_copy(update={"loop": settings.loop.model_copy(update={"seed": seed})})
        check_run(own, home / f"seed-{seed}", RunDirectory.found(home / f"seed-{seed}"))
    try:
        for result in train_each(settings, seeds, home, device=device, watch=watch, notice=console.notice):
            results.append(result)
            if result.is_main:
                draw_curves(result)
    except StoppedError as stopped:
        stopped.hint = f"continue with the same command and --run-dir {home}"
        raise
    if results[0].is_main:
        _show(seeds, results)


def draw_curves(result: TrainingResult) -> Path:
    """Draw loss, scores and learning rate of a run into its directory."""
    from cmirnet_cli.files import write_image
    from cmirnet_cli.reports.pictures.curves import CurvePoint, training_curves

    points = [CurvePoint(each.epoch, each.loss, each.overall_iou, each.mean_iou, each.lr) for each in result.epochs]
    path = result.directory.folder / "curves.png"
    write_image(path, training_curves(points))
    return path


def _show(seeds: Sequence[int], results: Sequence[TrainingResult]) -> None:
    """The best epoch of each run on val; mean and standard deviation over the seeds."""
    folder = results[0].directory.folder.parent
    best = [result.best for result in results]
    runs = [
        {"seed": seed, "run": result.directory.folder, "weights": result.weights}
        | {"epoch": one.epoch, "overall_iou": one.overall_iou, "mean_iou": one.mean_iou}
        for seed, result, one in zip(seeds, results, best, strict=True)
    ]
    overall, by_sentence = [one.overall_iou or 0.0 for one in best], [one.mean_iou or 0.0 for one in best]
    rows: list[tuple[object, ...]] = [(run["seed"], run["epoch"], f"{run['overall_iou']:.2f}", f"{run['mean_iou']:.2f}") for run in runs]
    over_seeds: dict[str, dict[str, float]] = {}
    if len(runs) > 1:
        spread = {"overall_iou": (mean(overall), stdev(overall)), "mean_iou": (mean(by_sentence), stdev(by_sentence))}
        over_seeds = {name: {"mean": middle, "deviation": deviation} for name, (middle, deviation) in spread.items()}
        rows.append(("mean", "", *(f"{middle:.2f}" for middle, _ in spread.values())))
        rows.append(("± over seeds", "", *(f"{deviation:.2f}" for _, deviation in spread.values())))
    console.result(
        {"folder": folder, "runs": runs, "over_seeds": over_seeds},
        console.table("best epoch on val", ["seed", "epoch", "overall IoU", "mean IoU"], rows),
        f"score them together with: cmirnet eval {folder}",
    )
