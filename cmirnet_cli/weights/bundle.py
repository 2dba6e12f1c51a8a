"""A weights folder: everything needed to run a model, and nothing that executes.

model.safetensors   network.* and text.*
config.json         what to build, how to prepare the input, what it was trained on
tokenizer files     as transformers writes them
README.md           a model card, where one was asked for
"""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.errors import UsageError, WeightsError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.segmenter import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.encoder import encoder_from_config, load_tokenizer

SCHEMA_VERSION = 1
MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"
DAMAGED = "the file was changed or damaged; copy the weights folder anew"


class BundleConfig(BaseModel):
    """What `config.json` says.

    Attributes:
        schema_version: of this file.
        model: what to build.
        encoder: transformers' configuration of the text encoder.
        tokens: padded length of an expression.
        image_size: side of the network's input in pixels.
        dataset: what it was trained on, as `<dataset>-<split_by>`; empty where that is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    model: ModelConfig
    encoder: dict[str, Any]
    tokens: int
    image_size: int
    dataset: str = ""


@dataclass(frozen=True)
class Bundle:
    """A model with all that belongs to it."""

    model: ReferringModel
    tokenizer: PreTrainedTokenizerBase
    config: BundleConfig


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


def save_bundle(bundle: Bundle, folder: Path, card: str | None = None) -> None:
    """Write a weights folder beside its place and move it there whole; a folder that was there is replaced.

    Args:
        bundle: what to write.
        folder: where to.
        card: text of a README.md to put in.
    """
    building = folder.with_name(f".{folder.name}.{token_hex(4)}.tmp")
    building.mkdir(parents=True)
    try:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in bundle.model.state_dict().items()}
        save_file(tensors, building / MODEL_FILE, metadata={"format": "pt"})
        (building / CONFIG_FILE).write_text(bundle.config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        shutil.copymode(building / CONFIG_FILE, building / MODEL_FILE)  # safetensors lets nobody but the owner read
        bundle.tokenizer.save_pretrained(building)
        if card is not None:
            (building / CARD_FILE).write_text(card, encoding="utf-8")
        _replace_folder(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _replace_folder(new: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.{token_hex(4)}.old")
    for file in new.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def load_bundle(folder: Path) -> Bundle:
    """The model in a weights folder, in eval mode on the CPU. A run directory stands for its best weights.

    Raises:
        WeightsError: the folder is missing, incomplete, damaged or of another schema version.
    """
    folder = find_weights(folder)
    config = _read_config(folder / CONFIG_FILE)
    model = ReferringModel(build_network(config.model), TextEncoder(encoder_from_config(config.encoder)))
    _load_state(model, folder / MODEL_FILE)
    return Bundle(model.eval(), load_tokenizer(str(folder)), config)


def find_weights(folder: Path) -> Path:
    """The weights folder that a path stands for: itself, or the best weights of a run directory or its `weights/`.

    Raises:
        WeightsError: there is none.
    """
    tried = [folder, folder / "best", folder / "weights" / "best"]
    for candidate in tried:
        if (candidate / CONFIG_FILE).is_file():
            return candidate
    raise WeightsError(
        f"no weights at {folder}: none of {', '.join(str(place / CONFIG_FILE) for place in tried)} exists",
        hint="`cmirnet train` writes weights/best into its run directory; `cmirnet convert` makes a folder from an official checkpoint",
    )


def _read_config(path: Path) -> BundleConfig:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != SCHEMA_VERSION:
            raise WeightsError(
                f"{path} has schema version {version!r}, this program reads {SCHEMA_VERSION}", hint="convert or train the weights again"
            )
        return BundleConfig.model_validate(data)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, ValidationError) as error:
        raise WeightsError(
            f"{path} cannot be read: {error}", hint="the file was changed or damaged; copy the weights folder anew"
        ) from error


def _load_state(model: ReferringModel, path: Path) -> None:
    try:
        model.load_state_dict(load_file(path), strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = textwrap.shorten(str(error), 240)
        raise WeightsError(
            f"{path} does not fit its config.json: {reason}", hint="the file was changed or damaged; copy the weights folder anew"
        ) from error
