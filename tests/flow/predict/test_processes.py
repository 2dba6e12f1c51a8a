"""`torchrun cmirnet predict`: processes share the photos, and together write what one writes alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cmirnet_cli.app import run
from tests.flow.predict.conftest import files

pytestmark = pytest.mark.slow


def words(weights: Path, photos: Path, out: Path, *more: str) -> list[str]:
    asked = ["-r", "-e", "cup", "-e", "left person", "--overlay", "--gallery", "--coco", str(out / "coco.json")]
    return ["predict", str(weights), str(photos), *asked, "-o", str(out), "--device", "cpu", "--json", *more]


def torchrun(arguments: list[str], processes: int, stdin: str = "") -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "cmirnet_cli"]
    return subprocess.run([*launcher, *arguments], capture_output=True, text=True, check=False, input=stdin)


@pytest.fixture(scope="module")
def alone(weights: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes."""
    out = tmp_path_factory.mktemp("alone") / "out"
    assert run(words(weights, photos, out)) == 3
    return out


def test_three_processes_write_the_files_of_one_and_one_of_them_reports(weights: Path, photos: Path, alone: Path, tmp_path: Path):
    done = torchrun(words(weights, photos, tmp_path / "out"), 3)
    assert done.returncode == 1, "torchrun says 1 whatever its processes say"
    assert "exitcode  : 3" in done.stderr
    assert files(tmp_path / "out") == files(alone)
    told = json.loads(done.stdout)
    assert (told["images"], told["masks"], len(told["problems"])) == (8, 14, 1)


def test_two_processes_go_on_where_one_was_killed(weights: Path, photos: Path, alone: Path, tmp_path: Path):
    out = tmp_path / "out"
    run(words(weights, photos, out))
    index = out / "predictions.jsonl"
    (out / "predictions-00000-of-00001.jsonl").write_bytes(index.read_bytes()[:2500])
    index.unlink()
    done = torchrun(words(weights, photos, out, "--skip-existing"), 2)
    assert files(out) == files(alone)
    assert 0 < json.loads(done.stdout)["skipped"] < 7


def test_standard_input_cannot_be_shared(weights: Path, tmp_path: Path):
    done = torchrun(["predict", str(weights), "-", "-e", "cup", "-o", str(tmp_path / "out"), "--device", "cpu"], 2, stdin="a.jpg\n")
    assert done.returncode == 1
    assert "2 processes cannot share standard input" in done.stderr
    assert not (tmp_path / "out").exists()
