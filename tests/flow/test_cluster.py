"""The scripts of docs/cluster.md, as they stand there, on one machine: what a run loses when processes and jobs end is nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cmirnet_cli.app import run
from cmirnet_cli.engine.training.run_directory import RunDirectory

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cluster.md"
STEPS = 15


@pytest.fixture(scope="module")
def cache(prepared_scenes: Callable[..., Path]) -> Path:
    return prepared_scenes(64, train=8, val=2)


def recipe(cache: Path) -> list[str]:
    small = ["data.image_size=64", "data.resize=64", "data.workers=1", "loop.checkpoint_every=2"]
    chosen = [word for each in small for word in ("--set", each)]
    return ["--preset", "smoke", "--cache", str(cache), "--device", "cpu", "--epochs", "3", "--batch-size", "4", *chosen]


def script(heading: str, cache: Path, folder: Path) -> str:
    """A script of the page: a small network on CPUs, one process on each machine, and both machines this one."""
    (text,) = re.findall(rf"^## {heading}$.*?^```bash\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    changes = {
        "--preset refcoco-swin-b-many-gpus": shlex.join(recipe(cache)),
        "--run-dir runs/swin-b": f"--run-dir {folder}",
        "--nproc-per-node 4": "--nproc-per-node 1",
        "torchrun ": f"{sys.executable} -m torch.distributed.run ",
        ":29500": f":{port}",
        "node1": "localhost",
    }
    for old, new in changes.items():
        assert old in text or old == "node1"
        text = text.replace(old, new)
    return text


def steps(folder: Path) -> int:
    """The last step that a run reported."""
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True) if metrics.exists() else []
    reported = [json.loads(line) for line in lines if line.endswith("\n")]
    return max([line["step"] for line in reported if line["kind"] == "step"], default=0)


def wait_for(folder: Path, step: int, *alive: subprocess.Popen[str]) -> None:
    while steps(folder) < step:
        assert all(process.poll() is None for process in alive), "a process ended too early"
        time.sleep(0.02)


@contextmanager
def started(text: str, home: Path, name: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A script that runs in a process group of its own, which ends with the block."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | more
    with (home / f"{name}.log").open("a") as log:
        streams = {"stdout": log, "stderr": log, "text": True}
        process = subprocess.Popen(["bash", "-c", text], env=environment, cwd=home, start_new_session=True, **streams)
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def worker(script: subprocess.Popen[str]) -> psutil.Process:
    """The process that trains for an agent that a script started."""
    below = [each for each in psutil.Process(script.pid).children(recursive=True) if each.cmdline()[1:4] == ["-u", "-m", "cmirnet_cli"]]
    (found,) = [each for each in below if each.parent() not in below]  # the others load data for it
    return found


@pytest.fixture(scope="module")
def undisturbed(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("undisturbed")
    text = script("torchrun on several machines", cache, home / "run")
    with started(text, home, "first") as first, started(text, home, "second") as second:
        assert (first.wait(), second.wait()) == (0, 0), (home / "first.log").read_text()
    assert steps(home / "run") == STEPS
    return home / "run"


def assert_same_end(folder: Path, expected: Path) -> None:
    for name in ("last", "best"):
        file = Path("weights", name, "model.safetensors")
        assert (folder / file).read_bytes() == (expected / file).read_bytes()
    ours, theirs = ([(each.epoch, each.loss, each.overall_iou) for each in RunDirectory.open(run).epochs()] for run in (folder, expected))
    assert ours == theirs


def test_a_worker_is_killed_twice_and_the_run_ends_as_an_undisturbed_one(cache: Path, undisturbed: Path, tmp_path: Path):
    folder, text = tmp_path / "run", script("torchrun on several machines", cache, tmp_path / "run")
    with started(text, tmp_path, "first") as first, started(text, tmp_path, "second") as second:
        for victim, step in ((first, 3), (second, 7)):
            wait_for(folder, step, first, second)
            worker(victim).kill()
        assert (first.wait(), second.wait()) == (0, 0), (tmp_path / "first.log").read_text()
    said = "".join((tmp_path / f"{name}.log").read_text() for name in ("first", "second"))
    assert said.count("continuing after step") == 2
    assert "may wait forever" not in said
    assert_same_end(folder, undisturbed)


SRUN = """#!/bin/bash
# Slurm's srun as far as the script needs it: the command once on each node; signals are passed on.
trap 'kill -TERM $(jobs -p)' TERM
for node in $(seq "$SLURM_NNODES"); do "$@" & done
for job in $(jobs -p); do wait "$job" || wait "$job" || status=$?; done
exit ${status:-0}
"""
SCONTROL = """#!/bin/bash
if [ "$1" = requeue ]; then echo "$2" >> requeued; else echo localhost; fi
"""


def test_a_job_that_saves_before_its_time_is_up_and_is_queued_again_ends_as_an_undisturbed_one(
    cache: Path, undisturbed: Path, tmp_path: Path
):
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_NNODES": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "a[1-2]", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    folder, text = tmp_path / "run", script("Slurm", cache, tmp_path / "run")
    with started(text, tmp_path, "job", **slurm) as job:
        wait_for(folder, 5, job)
        job.send_signal(signal.SIGUSR1)
        assert job.wait() == 0
    taken = steps(folder)
    assert 5 <= taken < STEPS
    assert (tmp_path / "requeued").read_text() == "7\n"
    assert next(path.name for path in (folder / "checkpoints").iterdir()).endswith(f"-step-{taken:08d}")
    with started(text, tmp_path, "job", **slurm) as job:
        assert job.wait() == 0, (tmp_path / "job.log").read_text()
    assert f"continuing after step {taken} of {STEPS}" in (tmp_path / "job.log").read_text()
    assert_same_end(folder, undisturbed)


def test_a_second_job_on_a_run_directory_is_told_who_trains_there_and_a_third_may_when_that_one_was_killed(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "run"
    words = ["train", *recipe(cache), "--epochs", "50", "--run-dir", str(folder), "--resume", "auto"]
    with started(shlex.join(["exec", sys.executable, "-m", "cmirnet_cli", *words]), tmp_path, "first") as first:
        wait_for(folder, 2, first)
        before = (folder / "env.json").read_bytes()
        assert run(words) == 2
        told = capsys.readouterr().err
        assert f"process {first.pid} on " in told
        assert f"trains in {folder} already" in told
        assert (folder / "env.json").read_bytes() == before
        first.kill()
        first.wait()
        with RunDirectory.open(folder).held():
            pass
