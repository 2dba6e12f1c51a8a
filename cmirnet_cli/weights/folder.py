"""The files of a weights folder, its config.json, and whether it looks whole. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.errors import UsageError, WeightsError, first_line
from cmirnet_cli.weights.lookalikes import refuse_lookalikes

SCHEMA_VERSION = 1
MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
PLACES = ("", "best/", "weights/best/")
"""Where a weights folder, a run's `weights/` and a run keep them."""
DAMAGED = "the file was changed or damaged; copy the weights folder again"
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What libraries raise on files of weights that are missing, cut short, or of another model."""


class BundleConfig(BaseModel):
    """What `config.json` says.

    Attributes:
        schema_version: of this file.
        model: what to build.
        encoder: transformers' configuration of the text encoder.
        tokens: padded length of an expression.
        sentence: where the sentence is read in the words: at the first token, at the last real one, or as their mean.
        image_size: side of the network's input in pixels.
        dataset: what it was trained on, as `<dataset>-<split_by>`; empty where that is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    model: ModelConfig
    encoder: dict[str, Any]
    tokens: int
    sentence: Literal["cls", "eos", "mean"] = "cls"
    image_size: int
    dataset: str = ""


def find_weights(folder: Path) -> Path:
    """The weights folder that a path stands for: itself, or the best weights of a run directory or its `weights/`.

    Raises:
        WeightsError: there is none.
    """
    tried = [folder / place for place in PLACES]
    for candidate in tried:
        if (candidate / CONFIG_FILE).is_file():
            return candidate
    raise WeightsError(
        f"no weights at {folder}: none of {', '.join(str(place / CONFIG_FILE) for place in tried)} exists",
        hint="name a run that `cmirnet train` wrote, a weights folder, an official .pth file, or org/name on the hub",
    )


def read_config(folder: Path) -> BundleConfig:
    """The config.json of a weights folder.

    Raises:
        WeightsError: it is missing, damaged or of another schema version.
    """
    path = folder / CONFIG_FILE
    refuse_lookalikes([path], text=True)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or "schema_version" not in data:
            kind = next((str(data[key]) for key in ("model_type", "architecture") if key in data), "") if isinstance(data, dict) else ""
            raise WeightsError(
                f"{path} is not a config.json of cmirnet{f', but that of a model of the kind {kind}' if kind else ''}",
                hint="name a weights folder or a run that `cmirnet train` wrote, an official .pth file, or org/name on the hub",
            )
        if (version := data["schema_version"]) != SCHEMA_VERSION:
            raise WeightsError(
                f"{path} has schema version {version!r}, this program reads {SCHEMA_VERSION}", hint="convert or train the weights again"
            )
        return BundleConfig.model_validate(data)
    except UNREADABLE as error:
        raise WeightsError(f"{path} cannot be read: {first_line(error)}", hint=DAMAGED) from error


def require_plausible(folder: Path) -> None:
    """Refuse a weights folder whose config.json cannot be used or whose tensors are cut short; the numbers are not read.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    tensors = folder / MODEL_FILE
    for path in (folder / CONFIG_FILE, tensors):
        if not path.is_file():
            raise WeightsError(f"{path} is missing", hint=DAMAGED)
    read_config(folder)
    refuse_lookalikes([tensors])
    try:
        with safe_open(tensors, framework="numpy"):
            pass
    except UNREADABLE as error:
        raise WeightsError(f"{tensors} cannot be read: {error}", hint=DAMAGED) from error


def require_replaceable(folder: Path, *, overwrite: bool) -> None:
    """Refuse to put weights where something is: weights may be replaced with leave, anything else never.

    Raises:
        UsageError: something stands there that may not be replaced.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / CONFIG_FILE).is_file() or not (folder / MODEL_FILE).is_file() or any(inner.is_dir() for inner in folder.iterdir()):
        raise UsageError(f"{folder} exists already and holds other things than weights", hint="choose another place")
    if not overwrite:
        raise UsageError(f"{folder} exists already", hint="choose another place, or replace it with --overwrite (overwrite=True in Python)")
