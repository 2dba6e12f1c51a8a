"""Small weights, exported as a user exports them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmirnet_cli.app import run

EXPRESSIONS = ("the red cup", "left person")


@pytest.fixture(scope="session")
def pictures(coco128: Path) -> Path:
    """Photographs of COCO."""
    return coco128 / "images" / "train2017"


@pytest.fixture(scope="session")
def onnx_bundle(weights: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights as ONNX, compared on photographs."""
    return exported(tmp_path_factory, weights, *asked_about(pictures))


@pytest.fixture(scope="session")
def int8_bundle(weights: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in int8, as two graphs that take images of any size."""
    words = ["--precision", "int8", "--calibrate", "6", "--split", "--dynamic-size"]
    return exported(tmp_path_factory, weights, *words, *asked_about(pictures))


def asked_about(pictures: Path) -> list[str]:
    return ["--images", str(pictures), *(word for text in EXPRESSIONS for word in ("-e", text))]


def exported(folders: pytest.TempPathFactory, weights: Path, *words: str) -> Path:
    out = folders.mktemp("exported") / "bundle"
    assert run(["export", str(weights), *words, "--out", str(out), "--quiet"]) == 0
    return out
