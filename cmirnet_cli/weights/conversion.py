"""An authors' checkpoint as a model of ours, with an account of everything that was in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.config import ModelConfig, Settings, TextConfig
from cmirnet_cli.errors import WeightsError, listed
from cmirnet_cli.weights.bundle import Bundle, filled_model
from cmirnet_cli.weights.check import check_tokenizer
from cmirnet_cli.weights.checkpoint import read_checkpoint, state_dict
from cmirnet_cli.weights.encoder import load_tokenizer, require_vocabulary
from cmirnet_cli.weights.folder import BundleConfig
from cmirnet_cli.weights.official import NETWORK, TEXT, Account, ConvertedText, convert_network, convert_text

TRAINING = ("optimizer", "lr_scheduler", "scaler")
FACTS = ("epoch", "args")
DATASET_NAME = re.compile(r"[A-Za-z0-9+_]+")


@dataclass(frozen=True)
class Report:
    """What became of an official checkpoint.

    Attributes:
        accounts: what became of every entry of the state dicts `model` and `bert_model`.
        ignored: parts that only a resumed training needs, by name.
        facts: `epoch` and `args` as plain data; anything but numbers, texts and lists of these becomes the name of its type.
    """

    accounts: Mapping[str, Account]
    ignored: tuple[str, ...]
    facts: Mapping[str, object]


@dataclass(frozen=True)
class Conversion:
    """A model from an official checkpoint, in eval mode on the CPU, and what became of the file."""

    bundle: Bundle
    report: Report


def read_official(path: Path, tokenizer: str | None = None) -> Conversion:
    """The model in an authors' checkpoint.

    Args:
        path: the `.pth` file.
        tokenizer: local folder or hub id, as an official file names none; by default that of the published text encoder.

    Raises:
        WeightsError: `read_checkpoint` refuses the file, the file holds anything unknown, or the tokenizer cannot be loaded or belongs
            to another text encoder.
    """
    checkpoint, source = read_checkpoint(path), tokenizer or TextConfig().source
    hint = "an official checkpoint holds no tokenizer: name a folder that does with --tokenizer DIR (tokenizer=… in Python)"
    try:
        _parts(checkpoint)  # before the network is asked for a tokenizer
        check_tokenizer(source)
        return convert_checkpoint(checkpoint, _tokenizer(source, hint))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.message}", error.hint) from error


def _tokenizer(source: str, hint: str) -> PreTrainedTokenizerBase:
    """As `load_tokenizer`; a folder with nothing but a `vocab.txt`, as BERT's authors gave it out, will do."""
    folder = Path(source)
    described = any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "config.json"))
    return load_tokenizer(source, hint, kind=None if described or not (folder / "vocab.txt").is_file() else "bert")


def convert_checkpoint(checkpoint: object, tokenizer: PreTrainedTokenizerBase) -> Conversion:
    """The content of an official checkpoint, as `read_checkpoint` returns it, as a model.

    Raises:
        WeightsError: a part or an entry is unknown or missing, or the tokenizer belongs to another text encoder.
    """
    parts = _parts(checkpoint)
    network = convert_network(state_dict(parts[NETWORK], f"`{NETWORK}`"))
    text = convert_text(state_dict(parts[TEXT], f"`{TEXT}`"))
    _check_widths(network.config, text, tokenizer)
    facts = {name: _plain(parts[name]) for name in FACTS if name in parts}
    accounts = {NETWORK: network.account, TEXT: text.account}
    report = Report(accounts, tuple(name for name in TRAINING if name in parts), facts)
    state = {f"network.{name}": value for name, value in network.state.items()}
    state |= {f"text.encoder.{name}": value for name, value in text.state.items()}
    published = Settings(model=network.config)
    config = BundleConfig(
        model=network.config,
        encoder=text.config,
        tokens=published.text.tokens,
        image_size=published.data.image_size,
        dataset=_trained_on(parts.get("args")),
    )
    return Conversion(Bundle(filled_model(config, state), tokenizer, config), report)


def _parts(checkpoint: object) -> dict[str, object]:
    """The entries of an official checkpoint by name."""
    hint = "an official checkpoint holds `model` and `bert_model`, and otherwise only what its training needed"
    if not isinstance(checkpoint, Mapping):
        raise WeightsError(f"this is not an official checkpoint (it is a {type(checkpoint).__name__})", hint=hint)
    names = [str(name) for name in checkpoint]
    missing = [name for name in (NETWORK, TEXT) if name not in checkpoint]
    if missing:
        raise WeightsError(f"this is not an official checkpoint: it has no {' and no '.join(missing)}, but {listed(names)}", hint=hint)
    unknown = [name for name in names if name not in (NETWORK, TEXT, *TRAINING, *FACTS)]
    if unknown:
        raise WeightsError(f"the official checkpoint has unknown entries: {listed(unknown)}", hint=hint)
    return dict(checkpoint)


def _check_widths(config: ModelConfig, text: ConvertedText, tokenizer: PreTrainedTokenizerBase) -> None:
    width, rows = text.config["hidden_size"], text.config["vocab_size"]
    if width != config.text_width:
        raise WeightsError(
            f"the network reads words of {config.text_width} channels, its text encoder gives {width}",
            hint="`model` and `bert_model` must come from one training",
        )
    hint = "name the tokenizer that the checkpoint was trained with: --tokenizer DIR or a hub id (tokenizer=… in Python)"
    require_vocabulary(tokenizer, rows, hint)


def _trained_on(arguments: object) -> str:
    """`<dataset>-<split_by>` where the arguments of the authors' training name both, else an empty text."""
    by_name = arguments if isinstance(arguments, dict) else {}
    names = [by_name.get("dataset"), by_name.get("splitBy")]
    known = [name for name in names if isinstance(name, str) and DATASET_NAME.fullmatch(name)]
    return "-".join(known) if len(known) == len(names) else ""


def _plain(value: object) -> object:
    """Numbers, texts and short lists of them as they are, one level of a dict; of anything else the type's name."""
    if isinstance(value, dict):
        return {str(name): _plain_value(one) for name, one in value.items()}
    return _plain_value(value)


def _plain_value(value: object) -> object:
    if isinstance(value, (list, tuple)) and all(_is_scalar(one) for one in value):
        return list(value)
    return value if _is_scalar(value) else str(value) if isinstance(value, torch.device) else f"({type(value).__name__})"


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
