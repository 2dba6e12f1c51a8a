"""Where weights come from: a folder, an official checkpoint, or a repository of the Hugging Face hub that holds one of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cmirnet_cli.config import TextConfig
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.files import sha256_of
from cmirnet_cli.weights.bundle import Bundle, load_bundle
from cmirnet_cli.weights.check import checkpoints_in, hub_name, require_checkpoint
from cmirnet_cli.weights.checkpoint_files import tokenizer_beside
from cmirnet_cli.weights.converted import converted
from cmirnet_cli.weights.folder import DAMAGED, MODEL_FILE, BundleConfig, find_weights, read_config
from cmirnet_cli.weights.hub import download

Notice = Callable[[str], None]


def _silent(line: str) -> None:
    """Says nothing."""


def load_weights(source: str | Path, tokenizer: str | None = None, notice: Notice = _silent) -> Bundle:
    """The model that weights are, in eval mode on the CPU. Takes and raises what `weights_folder` does."""
    return load_bundle(weights_folder(source, tokenizer, notice))


def load_config(source: str | Path) -> BundleConfig:
    """What `load_weights` would load, without its tensors; raises what that raises."""
    return read_config(weights_folder(source))


def weights_folder(source: str | Path, tokenizer: str | None = None, notice: Notice = _silent) -> Path:
    """The weights folder that `source` stands for. An official checkpoint is converted once and kept in the user's cache folder.

    Args:
        source: a weights folder, a run directory, an official `.pth` file, a folder that holds one, or on the hub `org/name`,
            `org/name@revision` or `org/name:path/in/repository.pth`. A checkpoint is read as data.
        tokenizer: local folder or hub id, for an official checkpoint; by default what lies beside it, else that of the published text
            encoder. Other weights have their own.
        notice: called with a line that says where a converted checkpoint is kept, or that the tokenizer is not used.

    Raises:
        WeightsError: nothing usable is there.
    """
    found = locate(source)
    if found.checkpoint is None:
        if tokenizer:
            notice(f"{source} has its own text encoder and tokenizer; {tokenizer} is not used")
        return find_weights(found.folder)
    return converted(found.checkpoint, tokenizer or found.tokenizer or TextConfig().source, notice)


@dataclass(frozen=True)
class Located:
    """Weights on this machine.

    Attributes:
        folder: that holds them: a weights folder, a run directory, or the top folder of a repository.
        checkpoint: the official checkpoint in it; None for weights of ours.
        tokenizer: the folder of the tokenizer that comes with the checkpoint, if one does.
    """

    folder: Path
    checkpoint: Path | None = None
    tokenizer: str | None = None


def locate(source: str | Path) -> Located:
    """Where weights lie, fetched from the hub if need be; `source` as for `weights_folder`.

    Raises:
        WeightsError: there is no such place, or it does not say which of several checkpoints is meant.
    """
    if name := hub_name(str(source)):
        fetched = download(name)
        return _with_tokenizer(fetched.folder, fetched.checkpoint)
    path = Path(source).expanduser()
    if path.is_file() or checkpoints_in(path):
        checkpoint = require_checkpoint(path)
        return _with_tokenizer(checkpoint.parent, checkpoint)
    return Located(path)


def _with_tokenizer(folder: Path, checkpoint: Path | None) -> Located:
    beside = tokenizer_beside(checkpoint, folder) if checkpoint else None
    return Located(folder, checkpoint, str(beside) if beside else None)


def fingerprint(source: str | Path) -> str:
    """The sha256 of `model.safetensors`, which names these weights in results.

    Raises:
        WeightsError: it is missing or cannot be read.
    """
    tensors = weights_folder(source) / MODEL_FILE
    try:
        return sha256_of(tensors)
    except OSError as error:
        raise WeightsError(f"{tensors} cannot be read: {error.strerror}", hint=DAMAGED) from error
