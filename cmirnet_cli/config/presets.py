"""Presets: one YAML file per experiment, found by listing the folder that ships with the package.

A preset begins with a header of comments (`Purpose:`, `Data:`, `Command:`, `In short:`) and holds only what differs from the defaults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from cmirnet_cli.errors import ConfigError, did_you_mean
from cmirnet_cli.files import write_text

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SUFFIX = ".yaml"
SUFFIXES = (SUFFIX, ".yml")


@dataclass(frozen=True)
class Preset:
    """One experiment: `text` is the whole file; the other fields stand in its header."""

    name: str
    purpose: str
    data: str
    command: str
    short: str
    text: str


def preset_names() -> list[str]:
    """The names of all presets that ship with the package: by data set, then by backbone, a variant right after what it varies."""
    return sorted((entry.name.removesuffix(SUFFIX) for entry in _folder().iterdir() if entry.name.endswith(SUFFIX)), key=_place)


def load_preset(name: str) -> Preset:
    """The preset of that name, or the one in a YAML file of the user's own.

    Raises:
        ConfigError: there is none; the hint names the nearest one or all of them.
    """
    names = preset_names()
    if name in names:
        text = (_folder() / f"{name}{SUFFIX}").read_text(encoding="utf-8")
    elif name.endswith(SUFFIXES) and Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        raise ConfigError(f"there is no preset {name!r}", hint=did_you_mean(name, names))
    return Preset(name, _header(text, "Purpose"), _header(text, "Data"), _header(text, "Command"), _header(text, "In short"), text)


def copy_preset(name: str, destination: Path, overwrite: bool = False) -> Path:
    """Write a preset to a file, or into a folder under its own name; returns the file.

    Raises:
        ConfigError: there is no such preset, no such folder, or the file exists and `overwrite` is false.
    """
    preset = load_preset(name)
    target = destination / f"{name}{SUFFIX}" if destination.is_dir() else destination
    if not target.parent.is_dir():
        raise ConfigError(f"folder {target.parent} does not exist", hint=f"create it: mkdir -p {target.parent}")
    if target.exists() and not overwrite:
        raise ConfigError(f"{target} exists already", hint="give another destination, or replace it with --overwrite")
    write_text(target, preset.text)
    return target


def preset_source(preset: str | Path) -> tuple[str, str]:
    """What to call a preset in messages, and its text: a shipped one by name, anything that looks like a path from disk.

    Raises:
        ConfigError: there is no such preset or file.
    """
    if isinstance(preset, str) and Path(preset).name == preset and not preset.endswith(SUFFIXES):
        return f"preset {preset}", load_preset(preset).text
    path = Path(preset)
    if not path.is_file():
        raise ConfigError(f"preset file {path} does not exist", hint=f"presets that ship with cmirnet: {', '.join(preset_names())}")
    return str(path), path.read_text(encoding="utf-8")


def _folder() -> Traversable:
    """The presets' folder: in the package where it is installed, beside it in a checkout."""
    try:
        return files("cmirnet_cli.presets")
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / "presets"


def _place(name: str) -> list[str]:
    """What names are sorted by: part by part (refcoco before refcoco+), numbers by size (resnet50 before resnet101)."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(4), name).split("-")


def _header(text: str, field: str) -> str:
    found = re.search(rf"^# {field}: *(.+(?:\n#  +.+)*)", text, re.MULTILINE)
    return re.sub(r"\n# +", " ", found.group(1)) if found else ""
