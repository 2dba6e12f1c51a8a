"""What docs/python.md shows runs as it stands, and docs/prediction.md is complete."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cmirnet_cli as cmirnet
from cmirnet_cli.errors import UsageError

DOCS = Path(__file__).resolve().parents[3] / "docs"
PREDICTION, PYTHON, NOTEBOOK = DOCS / "prediction.md", DOCS / "python.md", DOCS / "notebook.ipynb"


def test_the_python_examples_run(weights: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(weights, tmp_path / "weights")
    shutil.copy(photos / "0.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    examples = re.findall(r"```python\n(.*?)```", PYTHON.read_text(encoding="utf-8"), re.DOTALL)
    for example in examples:
        exec(example, names)
    assert len(examples) == 14
    assert (tmp_path / "cup.png").is_file()
    assert names["cup"].mask.shape == names["soft"].probability.shape == (30, 40)
    assert len(names["areas"]) == 20
    assert names["cut"] == ["the red cup " * 100]
    assert all(np.array_equal(answer[0].mask, names["cup"].mask) for answer in names["answers"][::2])
    assert (names["quick"].mask == names["cup"].mask).mean() > 0.999, "the faster forms keep every mask up to ties"
    assert "missing.jpg" in names["problem"][0]
    assert names["logits"].shape == (1, 2, 96, 96)
    assert set(names["prepared"].manifest.counts) == {"train", "val"}
    assert (names["run"].weights / "model.safetensors").is_file()
    assert names["paper"].scores["mean_iou"] == pytest.approx(names["run"].best.mean_iou, abs=0.1), "training validates as evaluate scores"
    assert [each.split for each in names["result"].scores] == ["val"]
    for sentence in names["baseline"].scores[0].sentences:
        overlap = sentence.overlaps["paper"]
        assert overlap.union == overlap.predicted == 96 * 96
    assert cmirnet.train(resume=names["run"].directory.folder, device="cpu").epochs == names["run"].epochs, "it has no epochs left"


def test_the_notebook_runs_and_shows_pictures(weights: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shells = pytest.importorskip("IPython.core.interactiveshell", reason="ipython is not installed; it is one of the dev extras")
    shutil.copytree(weights, tmp_path / "weights")
    shutil.copy(photos / "0.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shell = shells.InteractiveShell()
    shown: list[set[str]] = []
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "it is kept without outputs"
            ran = shell.run_cell(cell["source"])
            ran.raise_error()
            shown.append(set(shell.display_formatter.format(ran.result)[0]))
    shell.history_manager.end_session()
    assert [kinds & {"text/html", "image/png"} for kinds in shown] == [
        *(set(), {"text/html"}, {"image/png"}, set(), {"image/png"}, {"image/png"}, set(), {"text/html"})
    ]
    assert set(np.unique(np.asarray(Image.open("cup.png")))) <= {0, 255}


def test_training_needs_settings_or_a_run():
    with pytest.raises(UsageError, match="nothing to train"):
        cmirnet.train()


def test_the_package_shows_its_public_names_and_no_others():
    assert dir(cmirnet) == sorted(cmirnet.__all__)
    assert all(getattr(cmirnet, name) is not None for name in cmirnet.__all__)


def test_every_public_name_is_described():
    text = PYTHON.read_text(encoding="utf-8")
    methods = [name for name in dir(cmirnet.Segmenter) if not name.startswith("_")]
    assert [name for name in (*cmirnet.__all__, *methods) if name not in text] == []


def test_every_option_of_the_command_is_described():
    from cmirnet_cli.commands import predict_options

    text, source = PREDICTION.read_text(encoding="utf-8"), Path(predict_options.__file__).read_text(encoding="utf-8")
    options = re.findall(r'"(--[a-z-]+)"', source)
    assert len(options) > 10
    assert [option for option in options if option not in text] == []


def test_the_names_in_the_page_are_those_that_are_given():
    from cmirnet_cli.reports.predictions.names import mask_name

    text = PREDICTION.read_text(encoding="utf-8")
    for expression in ("the red cup", "The red cup!"):
        assert mask_name(Path("cup.jpg"), expression).name in text
