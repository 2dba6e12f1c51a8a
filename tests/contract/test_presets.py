"""Presets are a product: each resolves, builds, says what it is for and with which commands, and repeats no default."""

import json
import re
import shlex
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import torch
import typer

from cmirnet_cli.app import build, run
from cmirnet_cli.config import ModelConfig, TextConfig, load_preset, preset_names, resolve, yaml_text
from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.refer.registry import choose_split_by

FOLDER = Path(__file__).resolve().parents[2] / "presets"
FILES = sorted(FOLDER.glob("*.yaml"))
NAMING = {"model.backbone", "data.dataset", "data.split_by"}
"""What a preset states even where it equals the default: it says what is trained on what."""

DATA = {"refcoco": ("refcoco", "unc"), "refcoco+": ("refcoco+", "unc"), "refcocog-umd": ("refcocog", "umd"), "refclef": ("refclef", "unc")}
BACKBONES = ("resnet50", "resnet101", "swin-b", "swin-l")
BEYOND_THE_PAPER = {
    "refcoco-swin-b-ema": {"loop.ema_decay": 0.9998},
    "refcoco-swin-b-frozen-text": {"text.train": "none"},
    "refcoco-swin-b-text-dropout": {"text.dropout": True},
    "refcoco-swin-b-graph-without-padding": {"model.graph_padding": False},
    "refcoco-swin-b-by-sentence": {"data.sample": "sentence"},
    "refcoco-swin-b-flip": {"data.flip": True},
}
"""Preset → what it changes about the published recipe, which has none of it."""

LIGHTER = {
    "refcoco-swin-b-width-128": {"model.fusion_width": 128},
    "refcoco-swin-b-width-256": {"model.fusion_width": 256},
    "refcoco-swin-t": {"model.backbone": "swin-t"},
    "refcoco-swin-t-width-128": {"model.backbone": "swin-t", "model.fusion_width": 128},
    "refcoco-swin-t-width-256": {"model.backbone": "swin-t", "model.fusion_width": 256},
}
"""Preset → what it changes about the published network, to be trained by the published recipe."""

FOR_OTHER_MACHINES = ("refcoco-swin-b-many-gpus", "refcoco-swin-b-small-gpu")
"""The published recipe with more memory, or with less, than the authors had."""

by_name = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def flat(path: Path) -> dict[str, object]:
    return flattened(yaml_text.parse(path.read_text(encoding="utf-8")))


def flattened(sections) -> dict[str, object]:
    return {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}


def value_of(settings, name: str):
    section, _, key = name.partition(".")
    return settings.model_dump(mode="json")[section][key]


def all_settings(name: str) -> dict[str, object]:
    return flattened(resolve(name).model_dump(mode="json"))


def differences(first: dict[str, object], second: dict[str, object]) -> dict[str, object]:
    """What the second has where the two differ."""
    return {name: second[name] for name in first if first[name] != second[name]}


def test_the_installed_package_offers_the_presets_of_the_folder():
    assert sorted(preset_names()) == sorted(path.stem for path in FILES)


def test_there_is_a_preset_for_every_data_set_with_every_published_backbone():
    wanted = {f"{stem}-{backbone}": (*DATA[stem], backbone) for stem, backbone in product(DATA, BACKBONES)}
    found = {name: all_settings(name) for name in wanted}
    assert {name: (own["data.dataset"], own["data.split_by"], own["model.backbone"]) for name, own in found.items()} == wanted
    assert all(set(flat(FOLDER / f"{name}.yaml")) == NAMING for name in wanted)


@pytest.mark.parametrize(("name", "changed"), (BEYOND_THE_PAPER | LIGHTER).items())
def test_a_preset_beyond_the_paper_changes_what_it_says_and_nothing_else(name, changed):
    assert differences(all_settings("refcoco-swin-b"), all_settings(name)) == changed


@pytest.mark.parametrize("name", LIGHTER)
def test_a_lighter_preset_says_that_nobody_has_trained_it(name):
    assert "there is no score" in load_preset(name).text
    assert "published CMIRNet" not in load_preset(name).purpose


def test_text_encoders_of_presets_are_those_whose_cost_is_known():
    assert {resolve(name).text.source for name in preset_names()} == {TextConfig().source, "scratch"}


def test_presets_stand_by_data_set_and_trunk_with_variants_after_what_they_vary():
    variants = [name for name in preset_names() if name.startswith("refcoco-")]
    assert variants == [
        "refcoco-resnet50",
        "refcoco-resnet101",
        "refcoco-swin-b",
        *sorted(name for name in [*BEYOND_THE_PAPER, *FOR_OTHER_MACHINES, *LIGHTER] if name.startswith("refcoco-swin-b-")),
        "refcoco-swin-l",
        *sorted(name for name in LIGHTER if name.startswith("refcoco-swin-t")),
    ]
    assert list(dict.fromkeys(name.partition("-")[0] for name in preset_names())) == [
        "demo",
        "refclef",
        "refcoco",
        "refcoco+",
        "refcocog",
        "smoke",
    ]


@cache
def logits_of(model: ModelConfig, size: int, tokens: int) -> tuple[int, ...]:
    """The shape of a network's prediction for two images, without its weights or any memory."""
    with torch.device("meta"):
        network = build_network(model)
        words, keep = torch.zeros(2, tokens, model.text_width), torch.ones(2, tokens, dtype=torch.bool)
        logits = network(torch.zeros(2, 3, size, size), words, keep, words[:, 0])
    return tuple(logits.main.shape)


@by_name
def test_the_network_of_a_preset_is_built_and_runs_at_its_size(path):
    settings = resolve(path.stem)
    size = settings.data.image_size
    assert logits_of(settings.model, size, settings.text.tokens) == (2, 2, size, size)


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
def test_the_command_of_a_preset_trains_with_it(path, capsys):
    """As the command line resolves it: what the command's other options set is all that may differ."""
    command = load_preset(path.stem).command
    assert re.match(r"(cmirnet|torchrun --nproc-per-node \d -m cmirnet_cli) train --preset ", command)
    words = shlex.split(command[command.index("train ") :])
    assert words[:3] == ["train", "--preset", path.stem]
    assert run([*words, "--print-config", "--json"]) == 0
    printed = flattened(json.loads(capsys.readouterr().out)["settings"])
    differing = differences(all_settings(path.stem), printed)
    options = {word for word in words[3:] if word.startswith("--")}
    assert {f"--{name.partition('.')[2].replace('_', '-')}" for name in differing} == options


@by_name
def test_the_data_command_of_a_preset_prepares_what_it_trains_on(path):
    found = re.search("`cmirnet (prepare-data .*?)`", load_preset(path.stem).data)
    data = resolve(path.stem).data
    if found is None:
        assert path.stem in {"demo", "smoke"}
        return
    given = parsed(shlex.split(found[1]))
    assert (given["dataset"], choose_split_by(given["dataset"], given["split_by"])) == (data.dataset, data.split_by)
    assert set(given["size"] or [480]) == {data.image_size, data.resize}


def parsed(words: list[str]) -> dict[str, object]:
    """A command's parameters, as the command line reads them."""
    command = typer.main.get_command(build()).commands[words[0]]
    return command.make_context(words[0], words[1:]).params


@by_name
def test_a_preset_is_shown_and_copied_by_its_name(path, tmp_path, capsys):
    assert run(["presets", "show", path.stem]) == 0
    assert capsys.readouterr().out == path.read_text(encoding="utf-8")
    assert run(["presets", "cp", path.stem, str(tmp_path), "--quiet"]) == 0
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert resolve(tmp_path / path.name) == resolve(path.stem)


@by_name
def test_a_preset_holds_only_what_differs(path, tmp_path):
    given = flat(path)
    repeated = [name for name in sorted(set(given) - NAMING) if value_without(name, given, tmp_path) == given[name]]
    assert repeated == []


def value_without(name: str, given: dict[str, object], folder: Path) -> object:
    """The value a setting has if a preset does not give it; None where the rest cannot be without it."""
    shorter = folder / f"without-{name}.yaml"
    shorter.write_text(yaml_text.dump(nested({key: value for key, value in given.items() if key != name})))
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
