"""A weights folder: everything needed to run a model, and nothing that executes.

model.safetensors   network.* and text.*
config.json         what to build, how to prepare the input, what it was trained on
tokenizer files     as transformers writes them
README.md           a model card, where one was asked for
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.durable import new_file, replaced_folder
from cmirnet_cli.errors import UsageError, WeightsError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.segmenter import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.encoder import encoder_from_config, load_tokenizer
from cmirnet_cli.weights.folder import CONFIG_FILE, DAMAGED, MODEL_FILE, BundleConfig, find_weights, read_config

CARD_FILE = "README.md"


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
    """Write a weights folder that is whole at every moment; weights that are there already are replaced.

    Where they are of the same model and no card is given, as when training saves again, the tensors change in one step.
    Otherwise a new folder takes the place of the old one, which makes way only when the new one is safe.

    Args:
        bundle: what to write.
        folder: where to.
        card: text of a README.md to put in.

    Raises:
        WeightsError: the folder cannot be written.
    """
    if card is None and _holds_same_model(bundle, folder):
        with new_file(folder / MODEL_FILE, WeightsError) as file:
            _write_tensors(bundle.model, file)
        return
    with replaced_folder(folder, WeightsError) as building:
        write_bundle(bundle, building, card)


def write_bundle(bundle: Bundle, folder: Path, card: str | None = None) -> None:
    """Write the files of a weights folder into an existing folder, as part of something larger."""
    _write_tensors(bundle.model, folder / MODEL_FILE)
    (folder / CONFIG_FILE).write_text(_config_text(bundle), encoding="utf-8")
    bundle.tokenizer.save_pretrained(folder)
    if card is not None:
        (folder / CARD_FILE).write_text(card, encoding="utf-8")


def _holds_same_model(bundle: Bundle, folder: Path) -> bool:
    config = folder / CONFIG_FILE
    return config.is_file() and config.read_text(encoding="utf-8") == _config_text(bundle)


def _config_text(bundle: Bundle) -> str:
    return bundle.config.model_dump_json(indent=2) + "\n"


def _write_tensors(model: ReferringModel, path: Path) -> None:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(str(error)) from error
    path.chmod(mode)  # safetensors lets nobody but the owner read


def load_bundle(folder: Path) -> Bundle:
    """The model in a weights folder, in eval mode on the CPU. A run directory stands for its best weights.

    Raises:
        WeightsError: the folder is missing, incomplete, damaged or of another schema version.
    """
    folder = find_weights(folder)
    config = read_config(folder)
    model = ReferringModel(build_network(config.model), TextEncoder(encoder_from_config(config.encoder)))
    _load_state(model, folder / MODEL_FILE)
    return Bundle(model.eval(), load_tokenizer(str(folder)), config)


def _load_state(model: ReferringModel, path: Path) -> None:
    try:
        model.load_state_dict(load_file(path), strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = textwrap.shorten(str(error), 240)
        raise WeightsError(f"{path} does not fit its config.json: {reason}", hint=DAMAGED) from error
