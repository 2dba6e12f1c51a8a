"""docs/extending.md: its network is written down as it stands, and the commands below it are run in their order."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.weights.folder import read_config
from tests.flow.conftest import Outcome

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
COMMANDS = [line.removeprefix("cmirnet ") for line in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)[0].splitlines() if "cmirnet" in line]
SMALLER = {"train --preset": "--epochs 1 --device cpu", "train --resume": "--device cpu"}


@pytest.fixture
def home(prepared_scenes: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's network, a prepared data set and photographs; PYTHONPATH names it."""
    (tmp_path / "mynet.py").write_text(CODE)
    (tmp_path / "cache").symlink_to(prepared_scenes(96, train=9, val=4))
    (tmp_path / "photos").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photos" / "noise.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "mynet", raising=False)
    return tmp_path


def test_a_network_of_ones_own_trains_resumes_is_scored_predicts_and_is_exported(home: Path, cmirnet: Callable[..., Outcome]):
    assert len(CODE.splitlines()) < 100
    assert [line.split()[0] for line in COMMANDS] == ["train", "train", "eval", "predict", "export"]
    for line in COMMANDS:
        more = next((extra for begin, extra in SMALLER.items() if line.startswith(begin)), "")
        outcome = cmirnet(*shlex.split(f"{line} {more}"))
        assert outcome.code == 0, outcome.err
    assert read_config(home / "runs" / "mynet" / "weights" / "best").model.network == "mynet:build"
    assert (home / "mynet-onnx" / "parity.json").is_file()
    assert len(list((home / "masks").rglob("*.png"))) > 0


def test_its_weights_are_refused_where_the_package_is_not_installed(
    home: Path, cmirnet: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
):
    assert cmirnet(*shlex.split(COMMANDS[0]), "--epochs", 1, "--device", "cpu").code == 0
    monkeypatch.setattr(sys, "path", sys.path[:-1])
    monkeypatch.delitem(sys.modules, "mynet")
    outcome = cmirnet("eval", "runs/mynet", "--split", "val")
    assert outcome.code == 4
    assert "is built by mynet:build, and mynet is not installed" in outcome.err
    assert "never run from a weights folder or the hub" in outcome.err
    weights = home / "runs" / "mynet" / "weights" / "best"
    (weights / "mynet.py").write_text("raise RuntimeError('this was run')")
    monkeypatch.setattr(sys, "path", [*sys.path, str(weights)])
    outcome = cmirnet("eval", weights, "--split", "val")
    assert outcome.code == 4
    assert "mynet is only found in" in outcome.err


def test_a_run_without_a_folder_is_called_after_the_network(home: Path, cmirnet: Callable[..., Outcome]):
    network = ("--set", "model.network=mynet:build")
    for options, name in ((network, "mynet:build"), (("--backbone", "timm/test_convnext2"), "timm/test_convnext2")):
        outcome = cmirnet("train", "--preset", "smoke", *options, "--backbone-weights", "none", "--epochs", 1, "--device", "cpu")
        assert outcome.code == 0, outcome.err
        assert f"training {name} on scenes (demo)" in outcome.err
    assert {each.name for each in (home / "runs").iterdir()} == {"scenes-demo-mynet-build", "scenes-demo-timm-test_convnext2"}


def test_errors_of_ones_own_code_are_not_called_bugs_of_ours(home: Path, cmirnet: Callable[..., Outcome]):
    code = CODE + "\ndef broken(config):\n    raise ValueError('not finished')\n"
    code += "\ndef failing(logits, target):\n    return logits @ target\n"
    (home / "mynet.py").write_text(code)
    for setting, said in (("model.network=mynet:broken", "not finished"), ('loss.terms={"mynet:failing": 1}', "RuntimeError")):
        outcome = cmirnet("train", "--preset", "smoke", "--set", setting, "--run-dir", home / "run", "--device", "cpu")
        assert outcome.code == 1
        assert said in outcome.err
        assert "your own code raised this" in outcome.err
        assert "bug in cmirnet" not in outcome.err
        shutil.rmtree(home / "run", ignore_errors=True)


def test_weights_whose_code_was_changed_are_not_called_damaged(
    home: Path, cmirnet: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
):
    assert cmirnet(*shlex.split(COMMANDS[0]), "--epochs", 1, "--device", "cpu").code == 0
    (home / "mynet.py").write_text(CODE.replace("self.gate", "self.door"))
    monkeypatch.delitem(sys.modules, "mynet")
    importlib.invalidate_caches()
    outcome = cmirnet("eval", "runs/mynet", "--split", "val")
    assert outcome.code == 4
    assert "does not fit what mynet:build builds" in outcome.err
    assert "use the code that these weights were trained with" in outcome.err
