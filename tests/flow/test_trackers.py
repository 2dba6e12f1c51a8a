"""A run that reports to trackers without a network, in a process of its own: each is read back from what it left on the disk."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(prepared_scenes: Callable[..., Path]) -> Path:
    return prepared_scenes(64, train=4, val=3)


def tracked(cache: Path, home: Path, tracker: str, *more: str) -> dict[str, list[dict[str, float]]]:
    """Train two epochs with a tracker, or go on: stdout must be the result alone. What metrics.jsonl holds."""
    if importlib.util.find_spec(tracker) is None:
        pytest.skip(f"{tracker} is not installed")
    small = ["--preset", "smoke", "--cache", str(cache)]
    small += [word for each in ("data.image_size=64", "data.resize=64", "data.workers=0") for word in ("--set", each)]
    offline = {"WANDB_MODE": "offline", "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}", "TRACKIO_DIR": str(home / "trackio")}
    places = ["--run-dir", str(home / "run"), "--resume", "auto", "--device", "cpu"]
    words = ["train", *small, "--epochs", "2", *places, "--track", tracker, *more]
    streams = {"capture_output": True, "text": True, "cwd": home, "env": os.environ | offline}
    done = subprocess.run([sys.executable, "-m", "cmirnet_cli", *words, "--json"], check=False, **streams)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == str(home / "run")
    lines = [json.loads(line) for line in (home / "run/metrics.jsonl").read_text().splitlines()]
    return {kind: [line for line in lines if line["kind"] == kind] for kind in ("step", "epoch")}


def test_mlflow_in_a_local_file_keeps_settings_numbers_and_pictures_of_one_run_also_when_it_is_resumed(cache: Path, tmp_path: Path):
    tracked(cache, tmp_path, "mlflow")
    heard = tracked(cache, tmp_path, "mlflow", "--epochs", "3")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (1,)
        for name, kind in (("train/loss", "step"), ("epoch/loss", "epoch")):
            rows = database.execute("select step, value from metrics where key = ? order by step", (name,)).fetchall()
            assert rows == [(line["step"], pytest.approx(line["loss"])) for line in heard[kind]]
        assert database.execute("select value from params where key = 'model.backbone'").fetchone() == ("resnet-nano",)
    assert len(list(tmp_path.glob("mlruns/*/*/artifacts/images/example-1*.png"))) == 3


def test_wandb_offline_leaves_a_run_to_sync_with_pictures(cache: Path, tmp_path: Path):
    tracked(cache, tmp_path, "wandb")
    (run,) = (tmp_path / "run/wandb").glob("offline-run-*")
    identity = json.loads((tmp_path / "run/trackers.json").read_text())["wandb"]
    assert (run / f"run-{identity}.wandb").stat().st_size > 0
    assert len(list((run / "files/media/images/val").glob("example-1_*.png"))) == 2
    assert b"train/loss" in (run / f"run-{identity}.wandb").read_bytes()


def test_trackio_keeps_numbers_and_pictures(cache: Path, tmp_path: Path):
    heard = tracked(cache, tmp_path, "trackio")
    with sqlite3.connect(tmp_path / "trackio/cmirnet.db") as database:
        logged = [json.loads(content) for (content,) in database.execute("select metrics from metrics order by step")]
    losses = [content["train/loss"] for content in logged if "train/loss" in content]
    assert losses == pytest.approx([line["loss"] for line in heard["step"]])
    captions = {content["val/example-1"]["caption"] for content in logged if "val/example-1" in content}
    assert len(captions) == 1


def test_dvclive_keeps_every_step_in_the_run_directory_also_when_the_run_is_resumed(cache: Path, tmp_path: Path):
    heard = tracked(cache, tmp_path, "dvclive")["step"] + tracked(cache, tmp_path, "dvclive", "--epochs", "3")["step"][-3:]
    head, *rows = (tmp_path / "run/dvclive/plots/metrics/train/loss.tsv").read_text().splitlines()
    assert head == "step\tloss"
    assert [(int(step), float(loss)) for step, loss in map(str.split, rows)] == [(line["step"], line["loss"]) for line in heard]
    assert "model.backbone: resnet-nano" in (tmp_path / "run/dvclive/params.yaml").read_text()


@pytest.mark.filterwarnings("ignore")  # of aim's, which reads what it wrote
def test_aim_has_one_run_with_its_settings_also_when_it_is_resumed(cache: Path, tmp_path: Path):
    tracked(cache, tmp_path, "aim")
    tracked(cache, tmp_path, "aim", "--epochs", "3")
    from aim import Repo, Run

    (known,) = Repo.from_path(str(tmp_path / "run")).list_all_runs()
    found = Run(known, repo=str(tmp_path / "run"))
    assert (found.name, found.experiment) == ("run", "cmirnet")
    assert found["hparams"]["model.backbone"] == "resnet-nano"
