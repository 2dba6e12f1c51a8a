"""The example in docs/prediction.md runs as it stands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs" / "prediction.md"


def test_the_python_example_runs(weights: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    shutil.copytree(weights, tmp_path / "weights")
    shutil.copy(photos / "0.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    said: dict[str, Any] = {}
    exec(example, said)
    assert said["cup"].mask.shape == said["soft"].probability.shape == (30, 40)
    assert np.array_equal(said["first"][0].mask, said["second"][0].mask)


def test_every_option_of_the_command_is_described():
    from cmirnet_cli.commands import predict_options

    text, source = DOCS.read_text(encoding="utf-8"), Path(predict_options.__file__).read_text(encoding="utf-8")
    options = re.findall(r'"(--[a-z-]+)"', source)
    assert len(options) > 10
    assert [option for option in options if option not in text] == []


def test_the_names_in_the_page_are_those_that_are_given():
    from cmirnet_cli.reports.prediction_names import mask_name

    text = DOCS.read_text(encoding="utf-8")
    for expression in ("the red cup", "The red cup!"):
        assert mask_name(Path("cup.jpg"), expression).name in text
