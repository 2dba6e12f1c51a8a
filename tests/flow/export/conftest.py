"""Small weights, exported as a user exports them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cmirnet_cli.app import run

EXPRESSIONS = ("the red cup", "left person")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower with several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def pictures(coco128: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photographs of COCO."""
    folder = tmp_path_factory.mktemp("pictures")
    for photo in sorted((coco128 / "images" / "train2017").iterdir())[:12]:
        shutil.copy(photo, folder)
    return folder


@pytest.fixture(scope="session")
def asked(pictures: Path) -> list[str]:
    """The options of `export` that name photographs and what is asked about them."""
    return ["--images", str(pictures), *(word for text in EXPRESSIONS for word in ("-e", text))]


@pytest.fixture(scope="session")
def onnx_bundle(weights: Path, asked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights as ONNX."""
    out = tmp_path_factory.mktemp("exported") / "bundle"
    assert run(["export", str(weights), *asked, "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture(scope="session")
def int8_bundle(weights: Path, asked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in int8, as two graphs."""
    out = tmp_path_factory.mktemp("exported") / "bundle"
    words = ["--precision", "int8", "--calibrate", "4", "--split"]
    assert run(["export", str(weights), *words, *asked, "--out", str(out), "--quiet"]) == 0
    return out
