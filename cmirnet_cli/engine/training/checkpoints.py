"""The full state of a run on disk: `checkpoints/epoch-0003-step-00001234/`, the newest kept."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmirnet_cli.engine.training.run_directory import STATE_FILE, checkpoint_name, checkpoints_in
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.files import new_folder, sweep
from cmirnet_cli.weights.bundle import Bundle, write_bundle
from cmirnet_cli.weights.checkpoint import read_checkpoint


def capture_random_state(device: torch.device) -> dict[str, Any]:
    """Where the random numbers of Python, NumPy, torch and the device stand."""
    numbers: Any = np.random.get_state(legacy=False)
    return {
        "python": random.getstate(),
        "numpy": {
            "key": torch.from_numpy(numbers["state"]["key"].astype(np.int64)),
            "pos": int(numbers["state"]["pos"]),
            "has_gauss": int(numbers["has_gauss"]),
            "gauss": float(numbers["gauss"]),
        },
        "torch": torch.get_rng_state(),
        "device": None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(),
    }


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Go on from where `capture_random_state` was called; the device's own numbers only where it is of a kind that has some."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    numbers = state["numpy"]
    key = numbers["key"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, numbers["pos"], numbers["has_gauss"], numbers["gauss"]))
    torch.set_rng_state(state["torch"])
    if device.type != "cpu" and state["device"] is not None:
        torch.get_device_module(device).set_rng_state(state["device"])


SCHEMA_VERSION = 2
"""Since 2, an epoch keeps its last, smaller batch; a run that was begun without it cannot go on unchanged."""


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        epoch: whole epochs that are done, validation included.
        losses: of the steps taken in the epoch under way; their number is the place in the epoch.
        seconds: spent on the epoch under way.
        best: the best validation score so far, percent; None before the first.
    """

    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    best: float | None = None


@dataclass(frozen=True)
class TrainingState:
    """All that a run needs to go on as if it had not stopped, the model's own weights apart.

    Attributes:
        step: optimiser steps taken.
        progress: where the run is.
        settings: the whole recipe, as plain data.
        data: fingerprint of the cache.
        optimizer: the optimiser's state dict.
        scaler: the gradient scaler's state dict, where there is one.
        averaged: the state dict of the averaged weights, where there are some.
        random: the random numbers of each process.
    """

    step: int
    progress: Progress
    settings: Mapping[str, Any]
    data: str
    optimizer: Mapping[str, Any]
    scaler: Mapping[str, Any] | None
    averaged: Mapping[str, Any] | None
    random: list[dict[str, Any]]


def save_checkpoint(folder: Path, bundle: Bundle, state: TrainingState) -> None:
    """Write a checkpoint into `folder`; the older ones go when it is safe.

    Raises:
        WeightsError: it cannot be written; the older one is still there.
    """
    target = folder / checkpoint_name(state.progress.epoch, state.step)
    older = checkpoints_in(folder)
    if target in older:
        return
    sweep(folder)
    with new_folder(target, WeightsError) as building:
        write_bundle(bundle, building)
        _write_state(state, building / STATE_FILE)
    for each in older:
        shutil.rmtree(each, ignore_errors=True)


def read_state(checkpoint: Path) -> TrainingState:
    """What `save_checkpoint` wrote beside the weights.

    Raises:
        WeightsError: the file is missing, damaged, of another schema version, or holds anything but plain data.
    """
    path = checkpoint / STATE_FILE
    try:
        content = read_checkpoint(path)
    except WeightsError as error:
        error.hint = f"copy it back, or start a new run from its weights with --init-from {checkpoint}"
        raise
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(content, dict) or version != SCHEMA_VERSION:
        raise WeightsError(f"{path} has schema version {version!r}, this program reads {SCHEMA_VERSION}", hint="start a new run")
    fields = {name: value for name, value in content.items() if name != "schema_version"}
    try:
        return TrainingState(**fields | {"progress": Progress(**fields["progress"])})
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path} is not a training state: {error}", hint="the file was changed or damaged") from error


def _write_state(state: TrainingState, path: Path) -> None:
    content = {"schema_version": SCHEMA_VERSION} | vars(state) | {"progress": asdict(state.progress)}
    try:
        with path.open("xb") as file:
            torch.save(content, file)
    except RuntimeError as error:  # torch's own, on top of what the file said
        if isinstance(error.__context__, OSError):
            raise OSError(*error.__context__.args) from error
        raise
