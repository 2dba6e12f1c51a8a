"""Whether training runs look whole, how far each came, and how one that was broken off goes on."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cmirnet_cli.engine.training.checkpoint_folders import STATE_FILE, newest_checkpoint
from cmirnet_cli.engine.training.listening import EpochReport
from cmirnet_cli.engine.training.run_directory import BAD_BATCH, CONFIG, METRICS, RunDirectory, after_divergence
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.findings import Finding, examined
from cmirnet_cli.weights.folder import require_plausible


def run_findings(root: Path) -> Iterator[Finding]:
    """What there is to say about each run at `root` or right below it: how far it came, its weights and its checkpoint."""
    folders = [root] if (root / CONFIG).is_file() else [path.parent for path in sorted(root.glob(f"*/{CONFIG}"))]
    for folder in folders:
        yield from examined(str(folder), _how_far, folder)
        saved = [folder / "weights" / name for name in ("best", "last")]
        for weights in filter(Path.is_dir, saved):
            yield from examined(str(weights), _sound, weights)
        if checkpoint := newest_checkpoint(folder / "checkpoints"):
            yield from examined(str(checkpoint), _sound, checkpoint, STATE_FILE)


def _how_far(folder: Path) -> Iterator[Finding]:
    """How many epochs are done.

    Raises:
        CmirnetError: a file that a resumption needs is missing or damaged.
    """
    run = RunDirectory.open(folder)
    settings, epochs = run.settings(), run.epochs()
    wanted = settings.schedule.epochs
    begun = f"begun with data of fingerprint {run.data[:12]} and {run.threads} threads"
    done = f"{len(epochs)} of {wanted} epochs done{_best(epochs)}"
    if len(epochs) >= wanted:
        yield Finding("ok", str(folder), done)
    elif (folder / BAD_BATCH).is_file():
        advice = f"see {folder / BAD_BATCH}; {after_divergence(settings, folder)}"
        yield Finding("warning", str(folder), f"{done}; training diverged: the loss is NaN or infinite", advice)
    else:
        advice = f"unless it is still running, go on with: cmirnet train --resume {folder}"
        yield Finding("note", str(folder), f"{done}; {begun}; {_last_sign(folder)}", advice)


def _best(epochs: list[EpochReport]) -> str:
    best = [(report.epoch, report.overall_iou) for report in epochs if report.best and report.overall_iou is not None]
    return f", best overall IoU {best[-1][1]:.2f} after epoch {best[-1][0]}" if best else ""


def _last_sign(folder: Path) -> str:
    metrics = folder / METRICS
    if not metrics.is_file():
        return "no step was reported"
    written = datetime.fromtimestamp(metrics.stat().st_mtime)
    return f"its last report is of {written:%Y-%m-%d %H:%M}"


def _sound(folder: Path, state: str | None = None) -> Iterator[Finding]:
    """Weights, or with the name of a state file a checkpoint, that look whole.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    require_plausible(folder)
    if state and not ((folder / state).is_file() and zipfile.is_zipfile(folder / state)):
        hint = "delete that checkpoint: cmirnet train --resume then starts from the beginning"
        raise WeightsError(f"{folder / state} is missing or cut short", hint=hint)
    yield Finding("ok", str(folder), "files look whole")
