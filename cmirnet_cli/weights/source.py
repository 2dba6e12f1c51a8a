"""Where weights come from: a folder, a repository of the Hugging Face hub, or an official checkpoint."""

from __future__ import annotations

from pathlib import Path

from cmirnet_cli.errors import WeightsError
from cmirnet_cli.files import sha256_of
from cmirnet_cli.weights.bundle import Bundle, load_bundle
from cmirnet_cli.weights.check import is_hub_id
from cmirnet_cli.weights.folder import DAMAGED, MODEL_FILE, BundleConfig, find_weights, read_config

PARTS = (".safetensors", ".onnx", ".pt2", ".json")


def load_weights(source: str | Path) -> Bundle:
    """The model at a weights folder, a run directory or a hub id, in eval mode on the CPU.

    Raises:
        WeightsError: nothing usable is there.
    """
    return load_bundle(_folder(source))


def load_weights_or_checkpoint(source: str | Path, tokenizer: str | None = None) -> Bundle:
    """As `load_weights`, and an authors' `.pth` file besides, read as data.

    Args:
        source: where the weights are.
        tokenizer: local folder or hub id, for a `.pth` file, which holds none; by default that of the published text encoder.

    Raises:
        WeightsError: nothing usable is there.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        return load_weights(source)
    refuse_parts(path)
    from cmirnet_cli.weights.conversion import read_official

    return read_official(path, tokenizer).bundle


def load_config(source: str | Path) -> BundleConfig:
    """What `load_weights` would load, without its tensors; raises what that raises."""
    return read_config(weights_folder(source))


def weights_folder(source: str | Path) -> Path:
    """Where the files lie that `load_weights` would read; raises what that raises if there are none."""
    return find_weights(_folder(source))


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


def refuse_parts(path: Path) -> None:
    """Refuse a file that belongs to a weights folder or an export, in place of the whole.

    Raises:
        WeightsError: it is one.
    """
    if path.is_file() and path.suffix in PARTS:
        raise WeightsError(f"{path} is one file of a folder, which is needed whole", hint=f"give the folder: {path.parent}")


def _folder(source: str | Path) -> Path:
    path = Path(source).expanduser()
    refuse_parts(path)
    if path.is_file():
        raise WeightsError(
            f"{path} is a file, not a weights folder",
            hint=f"an authors' checkpoint becomes one with: cmirnet convert {path} OUT; else give the folder that holds {MODEL_FILE}",
        )
    if not is_hub_id(str(source)):
        return path
    from cmirnet_cli.weights.hub import download

    return download(str(source))
