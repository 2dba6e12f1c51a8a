"""`torchrun cmirnet train` and `eval`: two processes do what one does, and what is done once is done once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cmirnet_cli.app import run

pytestmark = pytest.mark.slow

RECIPE = {
    "loop.batch_size": 6,
    "data.sample": "sentence",
    "schedule.epochs": 1,
    "data.image_size": 64,
    "data.resize": 64,
    "model.fusion_width": 128,
    "loss.class_weights": [0.3, 1.7],
}
"""Wide enough that no two words are equally near, and weighed so that something is found at once."""

STEPS = [word for name, value in RECIPE.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def cache(prepared_scenes: Callable[..., Path]) -> Path:
    """Nine images with 55 sentences to train on, five to validate on (a number that two does not divide)."""
    return prepared_scenes(64, train=9, val=5)


def words(cache: Path, folder: Path, *more: str) -> list[str]:
    return ["train", "--preset", "smoke", "--cache", str(cache), "--run-dir", str(folder), "--device", "cpu", *STEPS, *more]


def torchrun(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "cmirnet_cli"]
    return subprocess.run([*launcher, *arguments], capture_output=True, text=True, check=False)


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in lines(folder) if line["kind"] == "step"]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def two(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run in two processes."""
    folder = tmp_path_factory.mktemp("two") / "run"
    done = torchrun(words(cache, folder, "--json"))
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def one(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run in one process that computes the same pieces."""
    folder = tmp_path_factory.mktemp("one") / "run"
    assert run(words(cache, folder, "--set", "loop.accumulate=2")) == 0
    return folder


def test_two_processes_have_the_losses_of_one_that_computes_the_same_pieces(two: tuple[Path, subprocess.CompletedProcess[str]], one: Path):
    assert losses(two[0]) == pytest.approx(losses(one), rel=1e-5)


def test_last_batch_of_one_sentence_trains_two_processes_as_it_trains_one(two: tuple[Path, subprocess.CompletedProcess[str]], one: Path):
    assert len(losses(two[0])) == 10  # 55 sentences, 6 at a time
    ours, theirs = (load_file(folder / "weights" / "last" / "model.safetensors") for folder in (two[0], one))
    trained = [name for name in ours if ours[name].is_floating_point() and "running" not in name]  # of the first process's pieces
    assert all(torch.allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-7) for name in trained)


def test_batch_norm_sees_each_process_part_of_a_batch_and_no_more(
    cache: Path, two: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
):
    assert run(words(cache, tmp_path / "whole")) == 0
    assert losses(two[0])[0] != pytest.approx(losses(tmp_path / "whole")[0], rel=1e-4)
    assert losses(two[0])[0] == pytest.approx(losses(tmp_path / "whole")[0], rel=0.2)


def test_every_validation_sentence_counts_once_though_two_do_not_divide_them(
    cache: Path, two: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder, _ = two
    asked = ["eval", str(folder / "weights" / "last"), "--cache", str(cache), "--protocol", "paper", "--out", str(tmp_path / "scored")]
    capsys.readouterr()
    assert run([*asked, "--device", "cpu", "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)["splits"]["val"]["paper"]
    reported = [line for line in lines(folder) if line["kind"] == "epoch"][-1]
    assert reported["overall_iou"] > 1
    assert reported["overall_iou"] == pytest.approx(scored["overall_iou"], abs=1e-9)
    assert reported["mean_iou"] == pytest.approx(scored["mean_iou"], abs=1e-9)


def test_only_the_first_process_speaks_and_writes(two: tuple[Path, subprocess.CompletedProcess[str]]):
    folder, done = two
    assert json.loads(done.stdout)["run"] == str(folder)
    assert done.stderr.count("training resnet-nano") == 1
    assert len(losses(folder)) == len({line["step"] for line in lines(folder) if line["kind"] == "step"})


def run_script(folder: Path, script: str, *arguments: str) -> None:
    """Run a script in two processes whose working directory is the folder."""
    (folder / "script.py").write_text(script)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "script.py"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([*launcher, *arguments], env=environment, cwd=folder, check=True)


def test_all_processes_go_by_the_folder_that_the_main_one_chose(tmp_path: Path):
    run_script(tmp_path, CHOOSING)
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["runs/name", "runs/name"]


CHOOSING = """
import os
from pathlib import Path

import torch

from cmirnet_cli.engine.devices import leaving_in_order, make_accelerator, said_by_main
from cmirnet_cli.engine.training.run_directory import new_run_folder

with leaving_in_order():
    accelerator, rank = make_accelerator(torch.device("cpu")), os.environ["RANK"]
    if rank == "1":
        Path("runs/name").mkdir(parents=True)  # it comes late
    Path(rank).write_text(str(said_by_main(new_run_folder(Path("runs"), "name") if rank == "1" else Path("runs/name"))))
"""


@pytest.mark.parametrize(("batch_size", "expected"), [("4", "0"), ("3", "2")], ids=["done", "refused"])
def test_processes_have_left_each_other_when_the_command_ends(cache: Path, tmp_path: Path, batch_size: str, expected: str):
    run_script(tmp_path, LEAVING, *words(cache, tmp_path / "run", "--dry-run", "--set", f"loop.batch_size={batch_size}"))
    assert [(tmp_path / rank).read_text() for rank in "01"] == [f"{expected} False"] * 2


LEAVING = """
import os
import sys
from pathlib import Path

from torch import distributed

from cmirnet_cli.app import run

code = run(sys.argv[1:])
Path(os.environ["RANK"]).write_text(f"{code} {distributed.is_initialized()}")
if distributed.is_initialized():
    distributed.destroy_process_group()
"""


def test_batch_that_two_processes_cannot_share_is_refused(cache: Path, tmp_path: Path):
    done = torchrun(words(cache, tmp_path / "run", "--set", "loop.batch_size=3"))
    assert done.returncode != 0
    assert "loop.batch_size (3) cannot be shared evenly by 2 processes" in done.stderr
    assert not (tmp_path / "run").exists()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_processes_write_the_evaluation_of_one_and_one_of_them_reports(
    cache: Path, two: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
):
    asked = ["--split", "all", "--control", "shuffled-text", "--save-masks", "--batch-size", "3", "--device", "cpu", "--json"]
    command = ["eval", str(two[0]), "--cache", str(cache), "--compare", str(two[0] / "weights" / "best"), *asked]
    assert run([*command, "--out", str(tmp_path / "one")]) == 0
    done = torchrun([*command, "--out", str(tmp_path / "two"), "--workers", "2"])
    assert done.returncode == 0, done.stderr
    assert sorted(files(tmp_path / "one")) == ["comparison.json", "scores.json", "sentences.jsonl"]
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert json.loads(done.stdout)["splits"] == json.loads(files(tmp_path / "one")["scores.json"])["splits"]
    assert done.stderr.count("wrote ") == 1
