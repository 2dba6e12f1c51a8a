"""Official checkpoints that are kept as weights folders: what a conversion leaves that comes to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.converted import HOME, converted


def test_conversion_that_fails_leaves_neither_a_folder_nor_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(HOME, str(tmp_path / "home"))
    checkpoint = tmp_path / "cut.pth"
    torch.save({"model": {"conv_2_1.weight": torch.zeros(2, 512, 3, 3)}, "bert_model": {}}, checkpoint)
    word_tokenizer(["the red cup"]).save_pretrained(tmp_path / "words")
    with pytest.raises(WeightsError):
        converted(checkpoint, str(tmp_path / "words"), lambda line: None)
    assert list((tmp_path / "home" / "weights").iterdir()) == []
