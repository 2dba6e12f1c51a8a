"""Which files are official checkpoints, which of several is meant, and where its tokenizer lies. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from cmirnet_cli.errors import WeightsError, listed

PICKLED = (".pth", ".pt", ".bin", ".ckpt")
"""Suffixes that a checkpoint may have where it is named."""
OFFICIAL = (".pth", ".pt", ".ckpt")
"""Suffixes by which it is found; `.bin` is transformers'."""
VOCABULARIES = ("tokenizer.json", "vocab.txt")
TOKENIZER_FILES = (*VOCABULARIES, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json")


def chosen_checkpoint(place: str, sizes: Mapping[str, int | None], file: str | None = None) -> str:
    """The official checkpoint among files.

    Args:
        place: the folder or repository that holds them, as the user writes it.
        sizes: path in that place → bytes, None where they are not known.
        file: the one that is meant; None for the only one.

    Raises:
        WeightsError: it is not there, there is none, or there are several; those there are, are listed with their sizes.
    """
    found = sorted(name for name in sizes if PurePosixPath(name).suffix in OFFICIAL)
    if file in sizes:
        return str(file)
    if file is None and len(found) == 1:
        return found[0]
    shown = listed([f"{name} ({size / 1e6:,.1f} MB)" if (size := sizes[name]) is not None else name for name in found], shown=20)
    if file is not None:
        raise WeightsError(f"{place} has no file {file}", hint=f"it holds {shown}" if found else "it holds no official checkpoint")
    if found:
        raise WeightsError(f"{place} holds {len(found)} checkpoints: {shown}", hint=f"name one of them: {place}{_joint(place)}{found[0]}")
    raise WeightsError(
        f"{place} holds no weights: no config.json with a model.safetensors, and no official checkpoint (.pth)",
        hint="name a weights folder, a run, an official .pth file, or a repository on the hub that holds one of these",
    )


def _joint(place: str) -> str:
    return "/" if Path(place).is_dir() else ":"


def tokenizer_beside(checkpoint: Path, top: Path) -> Path | None:
    """The folder with the tokenizer that comes with a checkpoint: its own, or the top one of its repository."""
    return next((folder for folder in (checkpoint.parent, top) if any((folder / name).is_file() for name in VOCABULARIES)), None)
