"""The demo's model learns from words and pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cmirnet_cli.app import run


@pytest.fixture(scope="module")
def cache(prepared_scenes: Callable[..., Path]) -> Path:
    return prepared_scenes(96, train=1200, val=40, test=60)


@pytest.mark.slow
def test_demo_model_scores_far_above_the_shuffled_text_control(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "run"
    assert run(["train", "--preset", "demo", "--cache", str(cache), "--run-dir", str(folder), "--device", "cpu"]) == 0
    capsys.readouterr()
    asked = ["eval", str(folder), "--cache", str(cache), "--split", "test", "--protocol", "paper", "--control", "shuffled-text"]
    assert run([*asked, "--out", str(tmp_path / "scored"), "--device", "cpu", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["splits"]["test"]["paper"]
    assert scores["overall_iou"] > scores["control"]["shuffled-text"]["overall_iou"] + 30
