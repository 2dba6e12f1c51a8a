"""Presets are a product: each resolves, builds, says what it is for and with which commands, and repeats no default."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
import typer

from cmirnet_cli.app import build, run
from cmirnet_cli.config import Settings, TextConfig, load_preset, named_recipe, preset_names, resolve, yaml_text
from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.refer.registry import choose_split_by

FOLDER = Path(__file__).resolve().parents[2] / "presets"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
NAMING = {"model.backbone", "data.dataset", "data.split_by"}
"""What a preset states even where it equals the default: it says what is trained on what."""

PUBLISHED = ("resnet50", "resnet101", "swin-b", "swin-l")
"""Backbones with a preset each; on other data sets `--dataset` and `--backbone` say as much."""

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
    "refcoco-swin-t-width-128": {"model.backbone": "swin-t", "model.fusion_width": 128},
    "refcoco-swin-t-width-256": {"model.backbone": "swin-t", "model.fusion_width": 256},
}
"""Preset → what it changes about the published network, to be trained by the published recipe."""

FOR_OTHER_MACHINES = ("refcoco-swin-b-many-gpus", "refcoco-swin-b-small-gpu")
"""The published recipe with more memory, or with less, than the authors had."""


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def stated(name: str) -> dict[str, object]:
    """The settings that a preset's file gives, by dotted name."""
    return flattened(yaml_text.parse(text_of(name)))


def flattened(sections) -> dict[str, object]:
    return {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}


def resolved(preset: str | Path) -> dict[str, object]:
    """All settings of a run with a preset, by dotted name."""
    return flattened(resolve(preset).model_dump(mode="json"))


def differences(first: dict[str, object], second: dict[str, object]) -> dict[str, object]:
    """What the second has where the two differ."""
    return {name: second[name] for name in first if first[name] != second[name]}


def test_the_installed_package_offers_the_presets_of_the_folder():
    assert sorted(preset_names()) == NAMES


def test_each_published_backbone_has_a_preset_that_says_no_more_than_its_name():
    assert {backbone: stated(f"refcoco-{backbone}") for backbone in PUBLISHED} == {
        backbone: {"model.backbone": backbone, "data.dataset": "refcoco", "data.split_by": "unc"} for backbone in PUBLISHED
    }


def test_every_other_preset_differs_in_more_than_names():
    published = {f"refcoco-{backbone}" for backbone in PUBLISHED}
    assert [name for name in NAMES if name not in published and set(stated(name)) <= NAMING] == []


def test_a_preset_beyond_the_paper_changes_what_it_says_and_nothing_else():
    published = resolved("refcoco-swin-b")
    changes = BEYOND_THE_PAPER | LIGHTER
    assert {name: differences(published, resolved(name)) for name in changes} == changes


def test_lighter_presets_say_that_nobody_has_trained_them():
    for preset in map(load_preset, LIGHTER):
        assert "there is no score" in preset.text
        assert "published CMIRNet" not in preset.purpose


def test_text_encoders_of_presets_are_those_whose_cost_is_known():
    assert {resolve(name).text.source for name in NAMES} == {TextConfig().source, "scratch"}


def test_presets_stand_by_data_set_and_backbone_with_variants_after_what_they_vary():
    variants = sorted(name for name in [*BEYOND_THE_PAPER, *FOR_OTHER_MACHINES, *LIGHTER] if name.startswith("refcoco-swin-b-"))
    lightest = sorted(name for name in LIGHTER if name.startswith("refcoco-swin-t"))
    published = ["refcoco-resnet50", "refcoco-resnet101", "refcoco-swin-b", *variants, "refcoco-swin-l"]
    assert preset_names() == ["demo", *published, *lightest, "smoke"]


def test_the_network_of_every_preset_is_built_and_runs_at_its_size():
    networks = {(settings.model, settings.data.image_size, settings.text.tokens) for settings in map(resolve, NAMES)}
    for model, size, tokens in networks:
        with torch.device("meta"):
            network = build_network(model)
            words, keep = torch.zeros(2, tokens, model.text_width), torch.ones(2, tokens, dtype=torch.bool)
            logits = network(torch.zeros(2, 3, size, size), words, keep, words[:, 0])
        assert tuple(logits.main.shape) == (2, 2, size, size)


def test_a_preset_resolves_to_the_values_it_gives():
    for name in NAMES:
        assert resolved(name) | stated(name) == resolved(name)


def test_a_preset_begins_with_purpose_data_and_command():
    for name in NAMES:
        assert [line.split(":")[0] for line in text_of(name).splitlines()[:3]] == ["# Purpose", "# Data", "# Command"]
        preset = load_preset(name)
        assert all((preset.purpose, preset.data, preset.command, preset.short))


def test_the_list_of_presets_has_a_short_line_for_each_in_80_columns(capsys):
    frame = len("│  │  │") + 1
    assert max(map(len, NAMES)) + max(len(load_preset(name).short) for name in NAMES) + frame <= 80
    assert run(["presets", "ls", "--quiet"]) == 0
    shown = capsys.readouterr().out.splitlines()[1:]
    assert sorted(line.split("  ")[0].strip() for line in shown) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_command_of_a_preset_trains_with_it(name, capsys):
    """As the command line resolves it: what the command's other options set is all that may differ."""
    command = load_preset(name).command
    assert re.match(r"(cmirnet|torchrun --nproc-per-node \d -m cmirnet_cli) train --preset ", command)
    words = shlex.split(command[command.index("train ") :])
    assert words[:3] == ["train", "--preset", name]
    assert run([*words, "--print-config", "--json"]) == 0
    printed = flattened(json.loads(capsys.readouterr().out)["settings"])
    options = {word for word in words[3:] if word.startswith("--")}
    assert {f"--{key.partition('.')[2].replace('_', '-')}" for key in differences(resolved(name), printed)} == options


def test_the_data_command_of_a_preset_prepares_what_it_trains_on():
    parse = typer.main.get_command(build()).commands["prepare-data"].make_context
    for name in NAMES:
        command = re.search("`cmirnet prepare-data (.*?)`", load_preset(name).data)
        if command is None:
            assert name in {"demo", "smoke"}
            continue
        data, parameters = resolve(name).data, parse("prepare-data", shlex.split(command[1])).params
        assert (parameters["dataset"], choose_split_by(parameters["dataset"], parameters["split_by"])) == (data.dataset, data.split_by)
        recipe = parameters["recipe"]
        prepared = {size for each in recipe for size in named_recipe(each).data.sizes} if recipe else {480}
        assert prepared == {data.image_size, data.resize}


def test_a_preset_is_shown_and_copied_by_its_name(tmp_path, capsys):
    for name in NAMES:
        assert run(["presets", "show", name]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith("# Purpose")
        (tmp_path / "shown.yaml").write_text(shown, encoding="utf-8")
        assert resolve(tmp_path / "shown.yaml") == resolve(name)
        assert flattened(yaml_text.parse(shown)).keys() == flattened(Settings().model_dump(mode="json")).keys()
        assert run(["presets", "cp", name, str(tmp_path), "--quiet"]) == 0
        assert (tmp_path / f"{name}.yaml").read_text(encoding="utf-8") == text_of(name)
        assert resolve(tmp_path / f"{name}.yaml") == resolve(name)
        capsys.readouterr()


def test_a_preset_holds_only_what_differs(tmp_path):
    repeated = [
        (name, key)
        for name in NAMES
        for key, value in stated(name).items()
        if key not in NAMING and value_without(key, name, tmp_path) == value
    ]
    assert repeated == []


def value_without(key: str, preset: str, folder: Path) -> object:
    """The value a setting has if a preset does not give it; None where the rest cannot be without it."""
    sections: dict[str, dict[str, object]] = {}
    for name, value in stated(preset).items():
        section, _, field = name.partition(".")
        if name != key:
            sections.setdefault(section, {})[field] = value
    shorter = folder / f"{preset}-without-{key}.yaml"
    shorter.write_text(yaml_text.dump(sections))
    try:
        return resolved(shorter)[key]
    except ConfigError:
        return None
