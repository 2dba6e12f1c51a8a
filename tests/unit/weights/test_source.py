"""What may stand for weights: folders as a whole, and none of their files alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.bundle import Bundle
from cmirnet_cli.weights.source import load_weights, load_weights_or_checkpoint, weights_folder


@pytest.mark.parametrize("read", [load_weights, load_weights_or_checkpoint, weights_folder])
@pytest.mark.parametrize("name", ["model.onnx", "vision.onnx", "model.safetensors", "config.json", "model.pt2"])
def test_file_of_a_folder_is_refused_and_its_folder_is_hinted_at(tmp_path: Path, name: str, read: Callable[[Path], Bundle | Path]):
    (tmp_path / name).write_bytes(b"\x08\x07\x12\x07pytorch")
    with pytest.raises(WeightsError, match=f"{name} is one file of a folder, which is needed whole") as caught:
        read(tmp_path / name)
    assert caught.value.hint == f"give the folder: {tmp_path}"
