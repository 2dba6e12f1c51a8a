"""Presets are a product: each resolves, says what it is for, and repeats no default."""

import re
from pathlib import Path

import pytest

from cmirnet_cli.config import load_preset, preset_names, resolve, yaml12
from cmirnet_cli.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[2] / "presets"
FILES = sorted(FOLDER.glob("*.yaml"))
NAMING = {"model.backbone", "data.dataset", "data.split_by"}
"""What a preset states even where it equals the default: it says what is trained on what."""

by_name = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def flat(path: Path) -> dict[str, object]:
    data = yaml12.parse(path.read_text(encoding="utf-8"))
    return {f"{section}.{key}": value for section, values in data.items() for key, value in values.items()}


def value_of(settings, name: str):
    section, _, key = name.partition(".")
    return settings.model_dump(mode="json")[section][key]


def test_the_installed_package_offers_the_presets_of_the_folder():
    assert preset_names() == [path.stem for path in FILES]


@by_name
def test_a_preset_resolves_to_the_values_it_gives(path):
    settings = resolve(path.stem)
    assert {name: value_of(settings, name) for name in flat(path)} == flat(path)


@by_name
def test_a_preset_begins_with_purpose_data_and_command(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    fields = [line.split(":")[0] for line in lines[:3]]
    assert fields == ["# Purpose", "# Data", "# Command"]
    preset = load_preset(path.stem)
    assert all((preset.purpose, preset.data, preset.command))


@by_name
def test_the_command_of_a_preset_trains_with_it(path):
    command = load_preset(path.stem).command
    assert re.fullmatch(rf"cmirnet train --preset {re.escape(path.stem)}( .*)?", command)


@by_name
def test_a_preset_holds_only_what_differs(path, tmp_path):
    given = flat(path)
    repeated = [name for name in sorted(set(given) - NAMING) if value_without(name, given, tmp_path) == given[name]]
    assert repeated == []


def value_without(name: str, given: dict[str, object], folder: Path) -> object:
    """The value a setting has if a preset does not give it; None where the rest cannot be without it."""
    shorter = folder / f"without-{name}.yaml"
    shorter.write_text(yaml12.dump(nested({key: value for key, value in given.items() if key != name})))
    try:
        return value_of(resolve(shorter), name)
    except ConfigError:
        return None


def nested(values: dict[str, object]) -> dict[str, dict[str, object]]:
    sections: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = value
    return sections
