"""Official checkpoints in the place of weights: every command takes them, from a file or from the hub, and converts each of them once."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BertConfig, BertModel

from cmirnet_cli import Segmenter
from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import resolve
from cmirnet_cli.engine.training.start import starting_bundle
from cmirnet_cli.scenes import write_scenes
from cmirnet_cli.weights.bundle import Bundle, save_bundle
from cmirnet_cli.weights.official import RESNET_TWINS

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def official(shared_fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A published ResNet-50 with the golden numbers, in half precision, and a small BERT; its tokenizer lies beside it."""
    folder, golden = tmp_path_factory.mktemp("official"), runpy.run_path(str(shared_fixtures / "recipe.py"))["golden_tensor"]
    shapes = json.loads((shared_fixtures / "resnet50-224.shapes.json").read_text())
    values = {name: torch.from_numpy(np.asarray(golden(name, shape))).half() for name, shape in shapes.items() if name[:9] != "backbone."}
    tokenizer = word_tokenizer(["the red cup", "left person"])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    bert = BertModel(BertConfig(vocab_size=len(tokenizer), num_hidden_layers=3, intermediate_size=64, max_position_embeddings=32)).half()
    network = {name: values[twin(name)] for name in shapes}
    torch.save({"model": network, "bert_model": bert.state_dict()}, folder / "refcoco.pth")
    yield folder / "refcoco.pth"
    (folder / "refcoco.pth").unlink()


def twin(name: str) -> str:
    """The entry whose numbers a copy of the backbone repeats."""
    if not name.startswith("backbone."):
        return name
    module, _, rest = name.removeprefix("backbone.").partition(".")
    return f"{RESNET_TWINS[module]}.{rest}"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.new("RGB", (40, 30), "red").save(path)
    return path


@pytest.fixture(scope="module", autouse=True)
def cmirnet_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of this module alone: other tests convert checkpoints as well."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CMIRNET_HOME", str(folder))
        yield folder


def kept(home: Path) -> list[Path]:
    return sorted((home / "weights").iterdir())


def test_command_takes_an_official_file_converts_it_once_and_says_where(
    cmirnet: Command, official: Path, photo: Path, cmirnet_home: Path, tmp_path: Path
):
    first = cmirnet("predict", official, photo, "-e", "red cup", "--out", tmp_path / "first")
    (folder,) = kept(cmirnet_home)
    assert first.code == 0
    assert f"refcoco.pth is converted, with the tokenizer {official.parent}, and kept in {folder}" in first.err
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    copied = shutil.copy(official, tmp_path / "another name.pth")
    second = cmirnet("predict", copied, photo, "-e", "red cup", "--tokenizer", official.parent, "--out", tmp_path / "second")
    assert second.code == 0
    assert f"another name.pth was converted before and is kept in {folder}" in second.err
    assert kept(cmirnet_home) == [folder]
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    masks = [next((tmp_path / out / "masks").rglob("*.png")).read_bytes() for out in ("first", "second")]
    assert masks[0] == masks[1]


def test_repository_on_the_hub_stands_for_its_official_file(
    cmirnet: Command, local_hub: Any, official: Path, photo: Path, cmirnet_home: Path, tmp_path: Path
):
    local_hub.repositories["org/cmirnet"] = official.parent
    by_id = Segmenter.from_pretrained("org/cmirnet:refcoco.pth")
    by_file = Segmenter.from_pretrained(official)
    assert by_id.predict(photo, "left person")[0].score == by_file.predict(photo, "left person")[0].score
    assert len(kept(cmirnet_home)) == 1
    written = cmirnet("convert", "org/cmirnet", tmp_path / "weights")
    assert written.code == 0
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == (kept(cmirnet_home)[0] / "model.safetensors").read_bytes()
    (official.parent / "refcocog.pth").write_bytes(b"another")
    several = cmirnet("predict", "org/cmirnet", photo, "-e", "red cup", "--out", tmp_path / "out")
    assert several.code == 4
    assert "org/cmirnet holds 2 checkpoints: refcoco.pth (" in several.err
    (official.parent / "refcocog.pth").unlink()


def test_weights_folder_is_not_converted_again(cmirnet: Command, weights: Path, tmp_path: Path):
    outcome = cmirnet("convert", weights, tmp_path / "out")
    assert outcome.code == 2
    assert "is a weights folder already" in outcome.err


class Touch:
    """Creates a file when a careless reader loads it."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.system, (f"touch {self.canary}",)


@pytest.mark.parametrize("command", ["predict", "export", "benchmark infer"])
def test_hostile_file_in_the_place_of_weights_runs_nowhere(cmirnet: Command, local_hub: Any, photo: Path, tmp_path: Path, command: str):
    (tmp_path / "repository").mkdir()
    local_hub.repositories["org/evil"] = tmp_path / "repository"
    torch.save({"model": {"w": torch.ones(2)}, "args": Touch(tmp_path / "canary")}, tmp_path / "repository" / "x.pth")
    word_tokenizer(["red cup"]).save_pretrained(tmp_path / "repository")
    words = {"predict": (photo, "-e", "x", "--out", tmp_path / "out"), "export": ("--out", tmp_path / "out"), "benchmark infer": ()}
    for source in (tmp_path / "repository" / "x.pth", "org/evil"):
        outcome = cmirnet(*command.split(), source, *words[command])
        assert outcome.code == 4
        assert "is refused: it asks for 'posix.system'" in outcome.err
    assert not (tmp_path / "canary").exists()


def test_place_that_cannot_be_written_is_named_with_the_way_around_it(
    cmirnet: Command, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    torch.save({}, tmp_path / "x.pth")
    word_tokenizer(["red cup"]).save_pretrained(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("CMIRNET_HOME", str(tmp_path / "file"))
    outcome = cmirnet("predict", tmp_path / "x.pth", photo, "-e", "x", "--out", tmp_path / "out")
    assert outcome.code == 4
    assert "where converted checkpoints are kept" in outcome.err
    assert f"cmirnet convert {tmp_path / 'x.pth'} OUT" in outcome.err


@pytest.mark.slow
def test_processes_that_convert_the_same_file_at_once_give_one_folder(official: Path, tmp_path: Path):
    program = "import sys; from cmirnet_cli.weights.source import weights_folder; print(weights_folder(sys.argv[1]))"
    environment = {**os.environ, "CMIRNET_HOME": str(tmp_path)}
    words = [sys.executable, "-c", program, str(official)]
    processes = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate()[0].strip() for process in processes}
    assert {process.returncode for process in processes} == {0}
    assert said == {str(*kept(tmp_path))}


def test_what_the_authors_scripts_cannot_run_is_not_exported_for_them(cmirnet: Command, weights: Path, tmp_path: Path):
    outcome = cmirnet("export", weights, "--format", "official", "--out", tmp_path / "out")
    assert outcome.code == 5
    for named in ("model.backbone is resnet-nano", "model.fusion_width is 32, not 512", "image_size is 64, not 480"):
        assert named in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_run_leaves_for_the_authors_strict_scripts_and_returns_bit_for_bit(
    cmirnet: Command, official: Path, shared_fixtures: Path, tmp_path: Path
):
    write_scenes(tmp_path / "data", images={"train": 4, "val": 2})
    prepare = ("prepare-data", "scenes", "--split-by", "demo", "--data", tmp_path / "data", "--out", tmp_path / "cache", "--size", "96")
    assert cmirnet(*prepare).code == 0
    cache = Cache.open(tmp_path / "cache" / "scenes-demo")

    def started(source: Path) -> Bundle:
        return starting_bundle(resolve(flags={"model.backbone": "resnet50", "loop.init_from": str(source)}), cache)

    bundle = started(official)
    with torch.no_grad():
        for parameter in bundle.model.parameters():
            parameter.mul_(1.01)
    save_bundle(bundle, tmp_path / "run" / "weights" / "best")
    exported = cmirnet("export", tmp_path / "run", "--format", "official", "--out", tmp_path / "exported")
    assert exported.code == 0
    written = torch.load(tmp_path / "exported" / "official.pth", weights_only=True, mmap=True)
    shapes = json.loads((shared_fixtures / "resnet50-224.shapes.json").read_text())
    assert {name: list(value.shape) for name, value in written["model"].items()} == shapes
    bert = BertModel(BertConfig(vocab_size=9, num_hidden_layers=3, intermediate_size=64, max_position_embeddings=32))
    bert.load_state_dict(written["bert_model"], strict=True)
    theirs = torch.load(official, weights_only=True, mmap=True)["model"]
    for name in (
        "layer1.0.weight",
        "backbone.conv1.weight",
        "gcn.CGI.graphconv.3.homoGR_feat.gconv.nn.0.weight",
        "TGMM3.project_mm.0.weight",
    ):
        assert torch.equal(written["model"][name], theirs[name].float() * 1.01)
    left, returned = (each.model.state_dict() for each in (bundle, started(tmp_path / "exported" / "official.pth")))
    assert left.keys() == returned.keys()
    assert all(torch.equal(value, returned[name]) for name, value in left.items())
