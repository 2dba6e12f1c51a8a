"""`cmirnet demo`: what it takes away and what it leaves alone, and how it goes on; what it trains takes minutes and is tested elsewhere."""

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

from cmirnet_cli.commands.demo import MARKER, begin, commands_left, run_command, write_pairs
from cmirnet_cli.engine.training.run_directory import newest_checkpoint
from cmirnet_cli.errors import CmirnetError
from cmirnet_cli.scenes import write_scenes
from tests.flow.conftest import Outcome


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_folder_that_no_demo_made_is_left_alone(cmirnet: Callable[..., Outcome], tmp_path: Path, more: list[str]):
    mine = tmp_path / "data" / "scenes" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert cmirnet("demo", "--out", tmp_path, *more).code == 2
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [mine]


def test_a_demo_is_gone_on_with_and_replaced_only_when_that_is_asked_for(tmp_path: Path):
    assert not begin(tmp_path, overwrite=False)
    assert [file.name for file in tmp_path.iterdir()] == [MARKER]
    trained = tmp_path / "run" / "weights" / "best"
    trained.mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")
    assert begin(tmp_path, overwrite=False)
    assert trained.is_dir()
    assert not begin(tmp_path, overwrite=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == [MARKER, "notes.txt"]


def test_a_link_to_another_folder_is_taken_away_and_the_folder_stays(tmp_path: Path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine.txt").write_text("mine")
    begin(tmp_path / "demo", overwrite=False)
    (tmp_path / "demo" / "run").symlink_to(tmp_path / "runs")
    begin(tmp_path / "demo", overwrite=True)
    assert not (tmp_path / "demo" / "run").exists()
    assert (tmp_path / "runs" / "mine.txt").is_file()


def test_only_what_is_not_done_yet_is_run(tmp_path: Path):
    write_scenes(tmp_path / "data", images={"test": 2})
    left = commands_left(tmp_path, "cpu")
    assert next(left)[0] == "prepare-data"
    (tmp_path / "cache" / "scenes-demo").mkdir(parents=True)
    (tmp_path / "cache" / "scenes-demo" / "manifest.json").touch()
    assert next(left)[:3] == ["train", "--preset", "demo"]
    assert next(left)[0] == "eval"
    (tmp_path / "report.html").touch()
    assert [words[0] for words in commands_left(tmp_path, "cpu")] == ["train", "predict"]


def test_each_scene_is_asked_a_sentence_about_each_of_its_own_referents(tmp_path: Path):
    write_scenes(tmp_path, images={"train": 2, "test": 5})
    pairs = [json.loads(line) for line in write_pairs(tmp_path).read_text().splitlines()]
    (file,) = (tmp_path / "scenes").glob("refs*.p")
    assert file.is_file()
    images = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "scenes/images/test").iterdir()}
    assert {pair["image"] for pair in pairs} == images
    assert 2 * len(images) <= len(pairs) == len({tuple(pair.values()) for pair in pairs}) <= 3 * len(images)


def test_a_command_is_shown_so_that_it_can_be_typed_and_must_not_fail(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(CmirnetError, match="cmirnet presets ended with code 2") as caught:
        run_command(["presets", "show", "my preset"], "cmirnet demo")
    assert caught.value.hint.endswith("continue the demo with: cmirnet demo")
    printed = capfd.readouterr()
    assert printed.err.lstrip().startswith("$ cmirnet presets show 'my preset'\nerror")
    assert not printed.out
    run_command(["presets", "ls"], "cmirnet demo")
    printed = capfd.readouterr()
    assert "demo" in printed.err
    assert not printed.out


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_demo_installs_what_it_needs_says_so_and_replaces_nothing(tmp_path: Path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(Path(__file__).parents[2] / name, tmp_path)
    command = ["make", "--no-print-directory", "-n", "demo"]  # make names the folder where make itself runs this test
    planned = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "7 GB" in planned
    assert "pip install -e .\n" in planned
    assert "[dev]" not in planned
    assert planned.endswith(".venv/bin/cmirnet demo\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_while_it_trains_saves_and_goes_on(tmp_path: Path, number: signal.Signals):
    out = tmp_path / "demo"
    words = [sys.executable, "-m", "cmirnet_cli", "demo", "--out", str(out)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (out / "run" / "metrics.jsonl").is_file():
            time.sleep(0.1)
        process.send_signal(number)
        printed, said = process.communicate()
    assert (process.returncode, printed) == (128 + number, "")
    assert f"hint: continue the demo with: cmirnet demo --out {out}" in said
    assert newest_checkpoint(out / "run" / "checkpoints") is not None
    assert next(commands_left(out, "cpu")) == ["train", "--resume", str(out / "run"), "--device", "cpu"]
