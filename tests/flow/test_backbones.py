"""Backbones of timm's from training to an exported graph: each is built, trained, saved, loaded, scored, asked and exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.flow.conftest import Outcome

Cmirnet = Callable[..., Outcome]

QUICK = "timm/test_convnext2"
CUT = (
    *("timm/convnextv2_atto", "timm/tf_efficientnetv2_b0", "timm/regnety_002", "timm/mobilenetv4_conv_small_035", "timm/hgnetv2_b0"),
    *("timm/swinv2_tiny_window8_256", "timm/test_maxvit", "timm/pvt_v2_b0", "timm/convnext_tiny.dinov3_lvd1689m"),
)
BESIDE = ("timm/test_vit",)


@pytest.fixture(scope="module")
def scenes(prepared_scenes: Callable[..., Path]) -> Path:
    return prepared_scenes(64, train=4, val=2)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def trained(cmirnet: Cmirnet, backbone: str, cache: Path, run: Path) -> Outcome:
    small = {"model.fusion_width": 16, "model.text_width": 24, "data.image_size": 64, "data.resize": 64, "data.workers": 0}
    small |= {"text.source": "scratch", "text.train": "all", "text.scratch_layers": 1, "loop.batch_size": 2}
    changes = [word for name, value in small.items() for word in ("--set", f"{name}={value}")]
    start = ["--backbone", backbone, "--backbone-weights", "none", "--cache", cache, "--run-dir", run]
    return cmirnet("train", *start, "--epochs", 1, "--device", "cpu", *changes)


@pytest.mark.parametrize("backbone", [QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in (*CUT, *BESIDE))])
def test_a_backbone_goes_all_the_way(backbone: str, scenes: Path, photo: Path, tmp_path: Path, cmirnet: Cmirnet):
    run = tmp_path / "run"
    outcome = trained(cmirnet, backbone, scenes, run)
    assert outcome.code == 0, outcome.err
    assert ("text is fused beside" in outcome.err) is (backbone in BESIDE)
    scored = cmirnet("eval", run, "--cache", scenes, "--split", "val", "--json")
    assert scored.code == 0, scored.err
    assert "windows" not in set(scored.data["settings"]["optimizations"])
    assert cmirnet("predict", run, photo, "-e", "the red cup", "--out", tmp_path / "masks").code == 0
    assert len(list((tmp_path / "masks").rglob("*.png"))) == 1
    if backbone != QUICK:  # half a minute or more
        exported = cmirnet("export", run, "--format", "onnx", "--out", tmp_path / "onnx")
        assert exported.code == 0, exported.err


def test_a_backbone_that_timm_lacks_is_refused_with_the_nearest_names(scenes: Path, cmirnet: Cmirnet, tmp_path: Path):
    outcome = trained(cmirnet, "timm/convnextv2_tinny", scenes, tmp_path / "run")
    assert outcome.code == 2
    assert "has no model 'convnextv2_tinny'" in outcome.err
    assert "did you mean timm/convnextv2_tiny" in outcome.err


def test_a_recipe_of_ones_own_is_counted(cmirnet: Cmirnet, tmp_path: Path):
    own = tmp_path / "mine.yaml"
    own.write_text("# Purpose: to compare.\nmodel: {backbone: timm/test_convnext2, fusion_width: 16}\ndata: {image_size: 64, resize: 64}\n")
    (listed,) = cmirnet("presets", "ls", own, "--cost", "--json").data["presets"]
    assert (listed["name"], listed["purpose"], listed["cost"]["image_size"]) == (str(own), "to compare.", 64)
    assert listed["cost"]["network"]["parameters"] > 0
