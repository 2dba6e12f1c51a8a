"""How the folders of checkpoints are called, and what lies in them beside the weights. Light: imports no torch."""

from __future__ import annotations

from pathlib import Path

STATE_FILE = "state.pt"


def checkpoint_name(epoch: int, step: int) -> str:
    """The name of the checkpoint after so many whole epochs and steps."""
    return f"epoch-{epoch:04d}-step-{step:08d}"


def checkpoints_in(folder: Path) -> list[Path]:
    """All checkpoints of a run, the newest last."""
    return sorted(folder.glob("epoch-*-step-*"))


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run; None where it has written none yet."""
    return max(checkpoints_in(folder), default=None)
