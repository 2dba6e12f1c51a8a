"""Small weights, exported as a user exports them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from cmirnet_cli.app import run

EXPRESSIONS = ("the red cup", "left person")


@pytest.fixture(scope="session")
def pictures(coco128: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photographs of COCO."""
    folder = tmp_path_factory.mktemp("pictures")
    for photo in sorted((coco128 / "images" / "train2017").iterdir())[:12]:
        shutil.copy(photo, folder)
    return folder


@pytest.fixture(scope="session")
def sample_options(pictures: Path) -> list[str]:
    """The options of `export` that name photographs and expressions."""
    return ["--images", str(pictures), *(word for text in EXPRESSIONS for word in ("-e", text))]


@pytest.fixture(scope="session")
def onnx_export(weights: Path, sample_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights as ONNX."""
    return exported_once("onnx", tmp_path_factory, [str(weights), *sample_options])


@pytest.fixture(scope="session")
def safetensors_export(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as safetensors."""
    return exported_once("safetensors", tmp_path_factory, [str(weights), "--format", "safetensors"])


@pytest.fixture(scope="session")
def int8_export(weights: Path, sample_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in int8, as two graphs."""
    return exported_once("int8", tmp_path_factory, [str(weights), "--precision", "int8", "--calibrate", "4", "--split", *sample_options])


def exported_once(name: str, tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> Path:
    """An export that the first of all test processes makes, and the others take: their weights are the same."""
    home = tmp_path_factory.getbasetemp()
    home = home.parent if "PYTEST_XDIST_WORKER" in os.environ else home
    folder = home / "exported" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            assert run(["export", *words, "--out", str(folder), "--quiet"]) == 0
    return folder
