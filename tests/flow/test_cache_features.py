"""`cmirnet cache-features`, and what `eval` and `train --freeze-text` do with it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmirnet_cli.app import run

SMALL = ["data.image_size=64", "data.resize=64", "schedule.epochs=1", "loop.batch_size=4"]
RECIPE = ["--preset", "smoke", *(word for setting in SMALL for word in ("--set", setting))]


@pytest.fixture(scope="module")
def prepared(prepared_scenes: Callable[..., Path]) -> Path:
    return prepared_scenes(64, train=9, val=5) / "scenes-demo"


@pytest.fixture(scope="module")
def weights(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose text encoder was trained."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert run(["train", *RECIPE, "--cache", str(prepared), "--run-dir", str(folder), "--device", "cpu"]) == 0
    return folder


@pytest.fixture
def cache(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared scenes, without features."""
    return Path(shutil.copytree(prepared, tmp_path / "cache"))


@pytest.fixture(scope="module")
def stored(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the prepared scenes with the features of the recipe's text encoder."""
    cache = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("stored") / "cache"))
    assert run(["cache-features", str(cache), *RECIPE, "--device", "cpu"]) == 0
    return cache


def steps(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "step"]


def scored(folder: Path) -> tuple[dict[str, Any], str]:
    """scores.json less what it says of features, and sentences.jsonl."""
    scores = json.loads((folder / "scores.json").read_text())
    scores["settings"].pop("text_features")
    return scores, (folder / "sentences.jsonl").read_text()


def test_scores_and_masks_are_the_same_with_and_without_features(cmirnet, cache: Path, weights: Path, tmp_path: Path):
    asked = ["eval", weights, "--cache", cache, "--save-masks", "--device", "cpu", "--json", "--out"]
    assert cmirnet(*asked, tmp_path / "without").data["settings"]["text_features"] is None
    made = cmirnet("cache-features", cache, "--weights", weights, "--device", "cpu", "--json").data
    done = cmirnet(*asked, tmp_path / "with")
    assert done.data["settings"]["text_features"] == "fp32"
    assert f"using stored text features instead of the text encoder: {made['features']} (fp32, made with {weights})" in done.err
    assert scored(tmp_path / "with") == scored(tmp_path / "without")


def test_frozen_run_has_the_same_losses_with_and_without_features(cmirnet, cache: Path, tmp_path: Path):
    words = ["train", *RECIPE, "--freeze-text", "--cache", cache, "--device", "cpu", "--run-dir"]
    assert cmirnet(*words, tmp_path / "without").code == 0
    made = cmirnet("cache-features", cache, *RECIPE, "--device", "cpu", "--json").data
    done = cmirnet(*words, tmp_path / "with")
    assert done.code == 0
    assert f"using stored text features instead of the text encoder: {made['features']} (fp32, made with scratch)" in done.err
    assert steps(tmp_path / "with") == steps(tmp_path / "without")
    assert [json.loads((tmp_path / name / "env.json").read_text())["text_features"] is None for name in ("with", "without")] == [
        False,
        True,
    ]
    scores = cmirnet("eval", tmp_path / "with", "--cache", cache, "--device", "cpu", "--json").data
    assert scores["settings"]["text_features"] == "fp32"


@pytest.mark.slow
def test_two_processes_read_the_features_that_one_reads(cmirnet, cache: Path, tmp_path: Path):
    assert cmirnet("cache-features", cache, *RECIPE, "--device", "cpu").code == 0
    wide = ["--set", "model.fusion_width=128"]  # so that no two words are equally near
    words = ["train", *RECIPE, *wide, "--freeze-text", "--cache", str(cache), "--device", "cpu", "--run-dir"]
    assert cmirnet(*words, tmp_path / "one", "--set", "loop.accumulate=2").code == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "cmirnet_cli"]
    done = subprocess.run([*launcher, *words, str(tmp_path / "two")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("using stored text features instead of the text encoder") == 1
    assert steps(tmp_path / "two") == pytest.approx(steps(tmp_path / "one"), rel=1e-5)


def test_weights_whose_encoder_the_features_are_not_of_are_refused_unless_told_otherwise(cmirnet, stored: Path, weights: Path):
    [name] = [folder.name for folder in stored.glob("text-features-*")]
    words = ["eval", weights, "--cache", stored, "--protocol", "paper", "--device", "cpu"]
    refused = cmirnet(*words)
    assert refused.code == 3
    assert f"error: none of the text features in {stored} are of this text encoder: {name} (made with scratch)" in refused.err
    assert f"make them with: cmirnet cache-features {stored} --weights {weights}; or score without any: --no-text-features" in refused.err
    assert cmirnet(*words, "--no-text-features").code == 0


def test_result_says_what_there_is_and_a_second_call_makes_nothing(cmirnet, stored: Path):
    words = ["cache-features", stored, *RECIPE, "--device", "cpu"]
    made = cmirnet(*words, "--json").data
    assert (made["origin"]["tokens"], made["width"], made["dtype"], made["source"], made["seconds"]) == (20, 32, "fp32", "scratch", None)
    assert made["sentences"] * 20 * 32 * 4 < made["bytes"] == (Path(made["features"]) / "words.h5").stat().st_size
    assert "there already" in cmirnet(*words).out


def test_other_number_format_replaces_features_with_leave_only(cmirnet, stored: Path, tmp_path: Path):
    words = ["cache-features", shutil.copytree(stored, tmp_path / "cache"), *RECIPE, "--device", "cpu", "--dtype", "fp16"]
    refused = cmirnet(*words)
    assert (refused.code, "holds features that are fp32, not fp16" in refused.err) == (3, True)
    made = cmirnet(*words, "--overwrite", "--json").data
    assert (made["dtype"], made["seconds"] is None) == ("fp16", False)


def test_features_are_listed_and_verified(cmirnet, prepared: Path, stored: Path, tmp_path: Path):
    cache = Path(shutil.copytree(stored, tmp_path / "cache"))
    [features] = cache.glob("text-features-*")
    assert [each["name"] for each in cmirnet("cache", "info", cache, "--json").data["text_features"]] == [features.name]
    assert f"features     {features.name}: 20 tokens × 32, fp32" in cmirnet("cache", "info", cache).out
    files = cmirnet("cache", "verify", prepared, "--json").data["files"]
    assert cmirnet("cache", "verify", cache, "--json").data == {
        "schema_version": 1,
        "cache": str(cache),
        "files": files + 1,
        "damaged": [],
    }
    data = bytearray((features / "words.h5").read_bytes())
    data[len(data) // 2] ^= 1
    (features / "words.h5").write_bytes(data)
    damaged = cmirnet("cache", "verify", cache)
    assert (damaged.code, f"{features.name}/words.h5: content differs" in damaged.out) == (3, True)


def test_weights_and_settings_cannot_both_name_the_encoder(cmirnet, cache: Path, weights: Path):
    refused = cmirnet("cache-features", cache, "--weights", weights, "--preset", "smoke")
    assert refused.code == 2
    assert "--weights bring their own text encoder" in refused.err
