"""An authors' checkpoint, from the file to masks: what comes out is the authors' network, and a hostile file runs nowhere."""

from __future__ import annotations

import argparse
import json
import os
import runpy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from cmirnet_cli import Segmenter, convert_official
from cmirnet_cli.app import run
from cmirnet_cli.batches.batch import tokenise, word_tokenizer
from cmirnet_cli.scenes import write_scenes
from cmirnet_cli.weights.bundle import load_bundle

RESNET_TWINS = {"conv1": "layer1.0", "bn1": "layer1.1", "layer1": "layer2.1", "layer2": "layer3", "layer3": "layer4", "layer4": "layer5"}
ENTRIES = {"resnet50-224": {"used": 707, "duplicate": 318, "dead": 0}, "swin-b-224": {"used": 695, "duplicate": 0, "dead": 32}}
BERT_DEAD = ["embeddings.position_ids", "pooler.dense.bias", "pooler.dense.weight"]


@dataclass(frozen=True)
class Official:
    """A file as the authors' training writes it, with a small BERT; `golden` holds what the authors' network answers."""

    case: str
    path: Path
    tokenizer: Path
    golden: dict[str, np.ndarray]


@dataclass(frozen=True)
class Converted:
    official: Official
    folder: Path
    report: dict[str, Any]


@pytest.fixture(scope="module")
def recipe(shared_fixtures: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(shared_fixtures / "recipe.py")))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    word_tokenizer(["the red cup", "left person"]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["resnet50-224", pytest.param("swin-b-224", marks=pytest.mark.slow)])
def official(
    request: pytest.FixtureRequest,
    recipe: SimpleNamespace,
    shared_fixtures: Path,
    tokenizer: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Official]:
    case, path = request.param, tmp_path_factory.mktemp("official") / "model_best.pth"
    shapes = json.loads((shared_fixtures / f"{case}.shapes.json").read_text())
    torch.save({"model": network_state(recipe, shapes), **rest_of_the_file(tokenizer)}, path)
    yield Official(case, path, tokenizer, dict(np.load(shared_fixtures / f"{case}.npz")))
    path.unlink()


@pytest.fixture(scope="module")
def converted(official: Official) -> Iterator[Converted]:
    out = official.path.parent / "weights"
    with pytest.MonkeyPatch.context() as patch, (official.path.parent / "report.json").open("w+") as told:
        patch.setattr("sys.stdout", told)
        assert run(["convert", str(official.path), str(out), "--tokenizer", str(official.tokenizer), "--json"]) == 0
        told.seek(0)
        yield Converted(official, out, json.load(told))
    (out / "model.safetensors").unlink()


def network_state(recipe: SimpleNamespace, shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """The golden values under the official names; a repeated entry shares its twin's numbers, as in a genuine file."""
    values = {name: value_of(recipe, name, shape) for name, shape in shapes.items() if not name.startswith("backbone.")}
    return {f"module.{name}": values.get(name, values.get(twin(name))) for name in shapes}


def value_of(recipe: SimpleNamespace, name: str, shape: list[int]) -> torch.Tensor:
    index = name.endswith("relative_position_index")
    return torch.zeros(shape, dtype=torch.int64) if index else torch.from_numpy(np.asarray(recipe.golden_tensor(name, shape)))


def twin(name: str) -> str:
    module, _, rest = name.removeprefix("backbone.").partition(".")
    return f"{RESNET_TWINS.get(module)}.{rest}"


def rest_of_the_file(tokenizer: Path) -> dict[str, object]:
    words = len(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"])
    torch.manual_seed(0)
    bert = BertModel(BertConfig(vocab_size=words, num_hidden_layers=3, intermediate_size=64, max_position_embeddings=32))
    return {
        "bert_model": bert.state_dict() | {"embeddings.position_ids": torch.arange(32).expand(1, -1)},
        "optimizer": {"state": {0: {"step": torch.tensor(5.0)}}, "param_groups": [{"lr": 5e-5, "betas": (0.9, 0.999), "params": [0]}]},
        "lr_scheduler": {"base_lrs": [5e-5], "last_epoch": 5, "lr_lambdas": [None]},
        "epoch": 29,
        "args": argparse.Namespace(dataset="refcoco", splitBy="unc", lr=5e-5, img_size=480, pretrained_swin_weights="", resume=None),
    }


@torch.inference_mode()
def test_converted_network_gives_the_authors_logits(converted: Converted, recipe: SimpleNamespace):
    network = load_bundle(converted.folder).model.network
    image, words, keep, sentence = map(torch.from_numpy, recipe.golden_inputs(224, 2))
    logits = network(image, words.transpose(1, 2), keep.bool(), sentence).main
    expected = converted.official.golden["logits.out"]
    assert np.abs(logits[:, :, ::8, ::8].numpy() - expected).max() <= 1e-3 * expected.std()


def test_converted_folder_holds_the_official_numbers_bit_for_bit(converted: Converted):
    state = load_bundle(converted.folder).model.state_dict()
    checkpoint = torch.load(converted.official.path, weights_only=False, mmap=True)
    network = {f"network.{name}": value for name, value in convert_official(checkpoint["model"]).items()}
    text = {f"text.encoder.{name}": value for name, value in checkpoint["bert_model"].items() if name not in BERT_DEAD}
    assert state.keys() == network.keys() | text.keys()
    assert all(torch.equal(state[name], value) for name, value in (network | text).items())


@torch.inference_mode()
def test_official_file_and_converted_folder_answer_alike_bit_for_bit(converted: Converted):
    answers = []
    for source, tokenizer in ((converted.official.path, str(converted.official.tokenizer)), (converted.folder, None)):
        segmenter = Segmenter.from_pretrained(source, tokenizer=tokenizer)
        tokens = tokenise(segmenter.tokenizer, ["the red cup", "left person"], 20)
        words = segmenter.text(tokens.ids, tokens.keep)
        image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
        answers.append(segmenter.network(image, words, tokens.keep, words[:, 0]).main)
    assert torch.equal(*answers)


def test_every_entry_of_the_file_is_accounted_for(converted: Converted):
    report, case = converted.report, converted.official.case
    network, text = report["entries"]["model"], report["entries"]["bert_model"]
    assert {fate: len(names) if isinstance(names, list) else names for fate, names in network.items()} == ENTRIES[case]
    assert all(name.startswith("backbone.") for name in network["duplicate"])
    assert (text["used"], text["duplicate"], text["dead"]) == (5 + 3 * 16, [], BERT_DEAD)
    assert report["ignored"] == ["optimizer", "lr_scheduler"]
    assert report["facts"]["epoch"] == 29
    assert report["facts"]["args"]["pretrained_swin_weights"] == ""
    assert (report["backbone"], report["dataset"]) == (case.removesuffix("-224"), "refcoco-unc")


def test_nothing_in_the_converted_folder_executes(converted: Converted):
    assert {path.suffix for path in converted.folder.iterdir()} == {".json", ".safetensors"}


def test_what_exists_is_not_overwritten_without_leave(converted: Converted, cmirnet: Callable[..., Any]):
    outcome = cmirnet("convert", converted.official.path, converted.folder, "--tokenizer", converted.official.tokenizer)
    assert outcome.code == 2
    assert "--overwrite" in outcome.err


def test_folder_of_other_things_is_never_replaced(cmirnet: Callable[..., Any], tmp_path: Path, tokenizer: Path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    torch.save({}, tmp_path / "x.pth")
    outcome = cmirnet("convert", tmp_path / "x.pth", tmp_path / "home", "--tokenizer", tokenizer, "--overwrite")
    assert outcome.code == 2
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("checkpoint", "named"),
    [
        ({"model": {}, "bert_model": {}, "surprise": 1}, "surprise"),
        ({"state_dict": {}}, "no model and no bert_model, but state_dict"),
        ([1], "a list"),
        ({"model": {"w": torch.ones(1)}, "bert_model": {}}, "not a state dict of a published CMIRNet"),
    ],
)
def test_checkpoint_of_something_else_ends_with_4(
    cmirnet: Callable[..., Any], tmp_path: Path, tokenizer: Path, checkpoint: object, named: str
):
    torch.save(checkpoint, tmp_path / "x.pth")
    outcome = cmirnet("convert", tmp_path / "x.pth", tmp_path / "out", "--tokenizer", tokenizer)
    assert outcome.code == 4
    assert named in outcome.err
    assert not (tmp_path / "out").exists()


def test_tokenizer_that_cannot_be_had_is_named_with_the_option(cmirnet: Callable[..., Any], tmp_path: Path):
    torch.save({"model": {}, "bert_model": {}}, tmp_path / "x.pth")
    outcome = cmirnet("convert", tmp_path / "x.pth", tmp_path / "out", "--tokenizer", tmp_path / "nowhere")
    assert outcome.code == 4
    assert f"there is no folder {tmp_path / 'nowhere'} with a tokenizer" in outcome.err
    assert "--tokenizer" in outcome.err


class Touch:
    """Creates a file when a careless reader loads it."""

    def __init__(self, canary: Path, how: str) -> None:
        self.canary, self.how = canary, how

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        written = f"open({str(self.canary)!r}, 'w').close()"
        return {"system": (os.system, (f"touch {self.canary}",)), "exec": (exec, (written,)), "eval": (eval, (written,))}[self.how]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared cache of drawn scenes, and a small model that was trained on it for one epoch."""
    home = tmp_path_factory.mktemp("drawn")
    write_scenes(home / "data", images={"train": 4, "val": 2})
    prepare = ["prepare-data", "scenes", "--split-by", "demo", "--data", str(home / "data"), "--out", str(home / "cache"), "--size", "96"]
    assert run([*prepare, "-q"]) == 0
    places = ["--cache", str(home / "cache"), "--run-dir", str(home / "run"), "--device", "cpu"]
    assert run(["train", "--preset", "smoke", "--epochs", "1", *places, "-q"]) == 0
    return home


@pytest.mark.parametrize("how", ["system", "exec", "eval"])
@pytest.mark.parametrize("part", ["model", "optimizer", "args"])
@pytest.mark.parametrize("command", ["convert", "init", "backbone"])
def test_hostile_file_ends_every_command_with_4_and_runs_nowhere(
    cmirnet: Callable[..., Any], tmp_path: Path, tokenizer: Path, drawn: Path, command: str, part: str, how: str
):
    path, canary = tmp_path / "x.pth", tmp_path / "canary"
    torch.save({"model": {"w": torch.ones(2)}, part: {"state": [Touch(canary, how)]}}, path)
    train = ("train", "--preset", "smoke", "--cache", drawn / "cache", "--run-dir", tmp_path / "run")
    words = {
        "convert": ("convert", path, tmp_path / "out", "--tokenizer", tokenizer),
        "init": (*train, "--init-from", path, "--set", f"text.source={tokenizer}"),
        "backbone": (*train, "--backbone-weights", path),
    }
    outcome = cmirnet(*words[command])
    assert outcome.code == 4
    assert "is refused: it asks for" in outcome.err
    assert not canary.exists()


def test_training_starts_anew_from_given_weights_and_records_it(cmirnet: Callable[..., Any], drawn: Path, tmp_path: Path):
    given = drawn / "run" / "weights" / "last"
    places = ("--cache", drawn / "cache", "--run-dir", tmp_path / "run", "--device", "cpu")
    outcome = cmirnet("train", "--preset", "smoke", "--epochs", "1", "--init-from", given, "--lr", "1e-12", *places)
    assert outcome.code == 0
    assert f"starting from {given}" in outcome.err
    assert f"init_from: {given}" in (tmp_path / "run" / "config.yaml").read_text()
    first, second = (load_bundle(folder / "weights" / "last").model.state_dict() for folder in (drawn / "run", tmp_path / "run"))
    trained = [name for name in first if name.endswith("weight")]
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in trained)


def test_settings_that_contradict_the_weights_are_named(cmirnet: Callable[..., Any], drawn: Path, tmp_path: Path):
    changed = ("--backbone", "swin-nano", "--set", "model.fusion_width=64")
    places = ("--cache", drawn / "cache", "--run-dir", tmp_path / "run")
    outcome = cmirnet("train", "--preset", "smoke", *changed, "--init-from", drawn / "run", *places)
    assert outcome.code == 2
    assert "model.backbone is resnet-nano there and swin-nano here, model.fusion_width is 32 there and 64 here" in outcome.err
    assert "--set model.backbone=resnet-nano" in outcome.err
    assert not (tmp_path / "run").exists()
