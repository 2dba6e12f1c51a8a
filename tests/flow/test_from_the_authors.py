"""docs/from-the-authors.md: each command of theirs has one of ours beside it, and ours does the same, on drawn data with small networks."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmirnet_cli.app import run
from cmirnet_cli.scenes import write_scenes

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "from-the-authors.md").read_text(encoding="utf-8")
PAIRS = re.findall(r"^\| `python (.+)` \| `cmirnet (.+)` \|$", PAGE, re.MULTILINE)
SMALLER = {
    "--for resnet101": "--for smoke",
    "--backbone resnet101": "--preset smoke --epochs 1 --set model.backbone=resnet-nano",
    "--backbone swin-b": "--preset smoke --epochs 1 --set model.backbone=swin-nano",
    "cuda:0": "cpu",
}
pytestmark = pytest.mark.slow


def smaller(line: str) -> list[str]:
    for large, small in SMALLER.items():
        line = line.replace(large, small)
    return shlex.split(line)


def option(theirs: str, name: str, default: str) -> str:
    """The value of an option of theirs, with the default of their scripts."""
    words = shlex.split(theirs)
    return words[words.index(name) + 1] if name in words else default


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the three data sets, prepared as the page says."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for dataset, split_by in {"refcoco": "unc", "refcoco+": "unc", "refcocog": "umd"}.items():
            write_scenes(folder / "data", dataset=dataset, split_by=split_by, images={"train": 4, "val": 2, "testA": 2})
        for line in re.findall(r"^    cmirnet (prepare-data .+)$", PAGE, re.MULTILINE):
            assert run(smaller(line)) == 0, line
        yield folder


@pytest.mark.parametrize(("theirs", "ours"), [pair for pair in PAIRS if pair[1].startswith("train --backbone")])
def test_training_takes_the_backbone_the_data_and_the_name_of_theirs(theirs, ours, home):
    assert run(smaller(ours)) == 0
    weights = home / "runs" / option(theirs, "--model_id", "") / "weights" / "best"
    config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
    assert config["dataset"] == f"{option(theirs, '--dataset', 'refcoco')}-{option(theirs, '--splitBy', 'unc')}"
    assert config["model"]["backbone"].split("-")[0] == re.match(r"train_(\w+)\.py", theirs)[1]


def test_the_page_begins_with_one_of_these_commands_and_a_run_resumes(home):
    first = re.search(r"^    cmirnet (.+)$", PAGE, re.MULTILINE)[1]
    assert f"{first} --device cuda:0" in [ours for _, ours in PAIRS]
    (resumed,) = [ours for theirs, ours in PAIRS if theirs.startswith("train") and "--resume" in theirs]
    assert run([*smaller(resumed), "--epochs", "2", "--device", "cpu"]) == 0


@pytest.mark.parametrize(("theirs", "ours"), [pair for pair in PAIRS if pair[1].startswith("eval")])
def test_testing_scores_the_data_and_the_split_of_theirs(theirs, ours, home, tmp_path):
    weights = home / "path/to/weights"
    if not weights.exists():
        shutil.copytree(home / "runs" / "cmirnet_refcoco_swin" / "weights" / "best", weights)
    assert run([*smaller(ours), "--out", str(tmp_path / "scores")]) == 0
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text(encoding="utf-8"))
    assert scores["data"]["dataset"] == option(theirs, "--dataset", "refcoco")
    assert scores["data"]["split_by"] == option(theirs, "--splitBy", "unc")
    assert list(scores["splits"]) == [option(theirs, "--split", "val")]
    assert all("paper" in protocols for protocols in scores["splits"].values())
