"""A weights folder: everything needed to run a model, and nothing that executes.

model.safetensors   network.* and text.*
config.json         what to build, how to prepare the input, what it was trained on
tokenizer files     as transformers writes them
README.md           a model card, if the writer passed one
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.errors import WeightsError, listed
from cmirnet_cli.files import new_file, replaced_folder
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.own import require_installed
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.encoder import embedding_rows, encoder_from_config, load_tokenizer, require_vocabulary
from cmirnet_cli.weights.folder import CONFIG_FILE, DAMAGED, MODEL_FILE, UNREADABLE, BundleConfig, find_weights, read_config
from cmirnet_cli.weights.lookalikes import refuse_lookalikes

CARD_FILE = "README.md"


@dataclass(frozen=True)
class Bundle:
    """A model with all that belongs to it."""

    model: ReferringModel
    tokenizer: PreTrainedTokenizerBase
    config: BundleConfig


def save_bundle(bundle: Bundle, folder: Path, card: str | None = None) -> None:
    """Write a weights folder whole or not at all; one that exists already makes way, with all its files, when the new one is safe.

    Args:
        bundle: what to write.
        folder: where to.
        card: text of a README.md to put in.

    Raises:
        WeightsError: the folder cannot be written.
    """
    with replaced_folder(folder, WeightsError) as building:
        write_bundle(bundle, building, card)


def update_tensors(bundle: Bundle, folder: Path) -> None:
    """Write the weights of a run again: the tensors change in one step, so that the folder is whole at every moment.

    Where it does not hold this model yet, all of it is written as by `save_bundle`; raises what that raises.
    """
    config = folder / CONFIG_FILE
    if config.is_file() and config.read_text(encoding="utf-8") == _config_text(bundle):
        with new_file(folder / MODEL_FILE, WeightsError) as file:
            _write_tensors(bundle.model, file)
    else:
        save_bundle(bundle, folder)


def write_bundle(bundle: Bundle, folder: Path, card: str | None = None) -> None:
    """Write the files of a weights folder into an existing folder, as part of something larger."""
    _write_tensors(bundle.model, folder / MODEL_FILE)
    (folder / CONFIG_FILE).write_text(_config_text(bundle), encoding="utf-8")
    bundle.tokenizer.save_pretrained(folder)
    if card is not None:
        (folder / CARD_FILE).write_text(card, encoding="utf-8")


def _config_text(bundle: Bundle) -> str:
    return bundle.config.model_dump_json(indent=2) + "\n"


def _write_tensors(model: ReferringModel, path: Path) -> None:
    tensors: dict[str, Tensor] = {}
    seen = set()
    for name, tensor in model.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        tensors[name] = plain.clone() if place in seen else plain  # a network of one's own may share weights; safetensors refuses that
        seen.add(place)
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(None, str(error), str(path)) from error
    path.chmod(mode)  # safetensors lets nobody but the owner read


def load_bundle(folder: Path) -> Bundle:
    """The model in a weights folder, in eval mode on the CPU. A run directory stands for its best weights.

    Raises:
        WeightsError: the folder is missing, incomplete, damaged or of another schema version.
    """
    folder = find_weights(folder)
    config = read_config(folder)
    path = folder / MODEL_FILE
    refuse_lookalikes([path])
    if config.model.network:
        require_installed(config.model.network, folder)
    try:
        state = load_file(path)
        model = filled_model(config, state)
    except UNREADABLE as error:
        reason = textwrap.shorten(str(error), 240)
        if config.model.network:
            hint = f"use the code that these weights were trained with, or copy them again if {MODEL_FILE} was damaged"
            raise WeightsError(f"{path} does not fit what {config.model.network} builds: {reason}", hint) from error
        raise WeightsError(f"{path} does not fit its config.json: {reason}", hint=DAMAGED) from error
    if broken := [name for name, tensor in state.items() if not math.isfinite(tensor.sum(dtype=torch.float32).item())]:
        hint = "its training diverged: take the weights of an earlier epoch, or train again with a lower learning rate"
        raise WeightsError(f"{path} holds NaN or infinity in {len(broken):,} of {len(state):,} entries: {listed(broken)}", hint)
    tokenizer = load_tokenizer(str(folder), DAMAGED)
    require_vocabulary(tokenizer, embedding_rows(model.text.encoder), DAMAGED)
    return Bundle(model, tokenizer, config)


def filled_model(config: BundleConfig, state: Mapping[str, Tensor]) -> ReferringModel:
    """A model in eval mode on the CPU with numbers of its own, so that the file they come from may go away; draws no random numbers.

    Args:
        config: of the weights folder.
        state: the model's state dict, on the CPU.

    Raises:
        ConfigError: timm does not have the backbone, or the builder of the network is not there.
        RuntimeError: the state dict is of another model.
        WeightsError: the text encoder cannot be built.
    """
    own = config.model.network is not None
    whole = own or config.model.family == "timm"  # whose builders may need numbers
    with torch.random.fork_rng(devices=[]):
        with nullcontext() if whole else init_empty_weights(include_buffers=False):
            network = build_network(config.model, config.image_size)
        with nullcontext() if own else init_empty_weights(include_buffers=False):
            model = ReferringModel(network, TextEncoder(encoder_from_config(config.encoder), sentence=config.sentence))
    kinds = {name: value.dtype for name, value in model.state_dict().items()}
    copied = {name: value.to(kinds.get(name), copy=True) for name, value in state.items()}
    model.load_state_dict(copied, strict=True, assign=not own)  # own networks may share weights, which must stay shared
    model.text.encoder.tie_weights()  # such as T5's two names of its embeddings, which would be trained apart
    return model.eval()
