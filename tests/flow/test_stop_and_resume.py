"""`cmirnet train` stopped by a person or a scheduler, and gone on with."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cmirnet_cli.app import run


@pytest.fixture(scope="module")
def cache(prepared_scenes: Callable[..., Path]) -> Path:
    return prepared_scenes(64, train=24, val=2)


def words(cache: Path, folder: Path) -> list[str]:
    small = ["--set", "data.image_size=64", "--set", "data.resize=64", "--epochs", "2"]
    return ["train", "--preset", "smoke", "--cache", str(cache), "--run-dir", str(folder), "--device", "cpu", *small]


def steps(folder: Path) -> int:
    metrics = folder / "metrics.jsonl"
    return metrics.read_text().count('"kind": "step"') if metrics.exists() else 0


def stopped(arguments: list[str], folder: Path, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """The command, stopped with a signal once it has taken steps."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-m", "cmirnet_cli", *arguments], **streams) as process:
        while process.poll() is None and steps(folder) < 2:
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_training_saves_says_how_to_go_on_and_goes_on(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int
):
    folder = tmp_path / "run"
    done = stopped(words(cache, folder), folder, number)
    assert done.returncode == code, done.stderr
    assert f"hint: continue with: cmirnet train --resume {folder}" in done.stderr
    assert "Traceback" not in done.stderr
    taken = steps(folder)
    assert run(["train", "--resume", str(folder), "--device", "cpu", "--json"]) == 0
    told = capsys.readouterr()
    assert f"continuing after step {taken} of " in told.err
    assert json.loads(told.out)["best"]["epoch"] in {1, 2}
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [1, 2]
    assert (folder / "curves.png").is_file()


@pytest.fixture(scope="module")
def finished(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert run([*words(cache, folder), "--epochs", "1"]) == 0
    return folder


def test_epochs_may_grow_from_the_command_line(finished: Path):
    assert run(["train", "--resume", str(finished), "--epochs", "2", "--device", "cpu"]) == 0
    assert [line.split(",")[0] for line in (finished / "metrics.csv").read_text().splitlines()] == ["epoch", "1", "2"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--lr", "0.5"], "optimizer.lr was 0.001, now 0.5"),
        (["--set", "model.fusion_width=64"], "model.fusion_width was 32, now 64"),
        (["--preset", "demo"], "--preset cannot be given with --resume"),
        (["--run-dir", "elsewhere"], "--run-dir cannot be given with --resume"),
    ],
)
def test_what_a_resumed_run_cannot_have_ends_with_2_and_is_named(
    finished: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
):
    capsys.readouterr()
    assert run(["train", "--resume", str(finished), "--device", "cpu", *more]) == 2
    assert message in capsys.readouterr().err


def test_resuming_what_is_no_run_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["train", "--resume", str(tmp_path)]) == 2
    assert "config.yaml" in capsys.readouterr().err
    assert run(["train", "--resume", str(tmp_path / "nosuch")]) == 2
    assert "nosuch is not a run directory" in capsys.readouterr().err


def test_dry_run_of_a_resumption_changes_nothing(finished: Path):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert run(["train", "--resume", str(finished), "--epochs", "9", "--device", "cpu", "--dry-run"]) == 0
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_run_without_its_best_weights_is_refused_and_left_as_it_is(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_dir = Path(shutil.copytree(finished, tmp_path / "run"))
    shutil.rmtree(run_dir / "weights" / "best")
    metrics = (run_dir / "metrics.jsonl").read_bytes()
    assert run(["train", "--resume", str(run_dir), "--epochs", "5", "--device", "cpu"]) == 4
    assert "weights/best is missing" in capsys.readouterr().err
    assert (run_dir / "metrics.jsonl").read_bytes() == metrics
