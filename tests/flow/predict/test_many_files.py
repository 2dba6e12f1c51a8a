"""A thousand files with every kind of broken one among them, in processes that are killed again and again."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MANY, BAD = 1000, 50
KILLED_AFTER = (30, 31, 400, 700)

CHILD = """
import resource, sys
from cmirnet_cli.app import run
code = run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def spoil(file: Path, whole: bytes, kind: int) -> None:
    """Make a file that is no whole image, each `kind` in another way."""
    ways: list[Callable[[], object]] = [
        lambda: file.write_bytes(whole[: len(whole) // 2]),
        lambda: file.write_bytes(b""),
        lambda: file.write_text("these are words"),
        lambda: file.write_bytes(np.random.default_rng(kind).bytes(300)),
        lambda: file.symlink_to("nowhere"),
        lambda: file.symlink_to(file.name),
        lambda: os.mkfifo(file),
    ]
    ways[kind % len(ways)]()


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny images in ten folders, every twentieth of them broken."""
    home = tmp_path_factory.mktemp("crowd")
    random = np.random.default_rng(0)
    for number in range(MANY):
        file = home / str(number // 100) / f"{number:04}.png"
        file.parent.mkdir(exist_ok=True)
        encoded = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(encoded, "PNG")
        if number % (MANY // BAD) == 7:
            spoil(file, encoded.getvalue(), number // (MANY // BAD))
        else:
            file.write_bytes(encoded.getvalue())
    return home


def start(weights: Path, crowd: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = ["predict", str(weights), str(crowd), "-r", "-e", "the red cup", "-o", str(out), "--device", "cpu", "--json", "-q", *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", CHILD, *words], env=environment, text=True, **pipes)


def kill_after(process: subprocess.Popen[str], lines: int, part: Path) -> None:
    """Kill a process as soon as it has finished so many images."""
    while process.poll() is None and (not part.exists() or part.read_bytes().count(b"\n") < lines):
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_killed_four_times_it_ends_with_the_files_of_a_run_that_nobody_disturbed(weights: Path, crowd: Path, tmp_path: Path):
    undisturbed = start(weights, crowd, tmp_path / "whole")
    told = json.loads(undisturbed.communicate()[0])
    assert undisturbed.returncode == 3
    assert (told["images"], told["masks"], len(told["problems"])) == (MANY, MANY - BAD, BAD)
    for lines in KILLED_AFTER:
        kill_after(
            start(weights, crowd, tmp_path / "killed", "--skip-existing"), lines, tmp_path / "killed" / "predictions-00000-of-00001.jsonl"
        )
    last = start(weights, crowd, tmp_path / "killed", "--skip-existing")
    assert json.loads(last.communicate()[0])["skipped"] >= KILLED_AFTER[-1]
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_files(weights: Path, crowd: Path, tmp_path: Path):
    peaks = []
    for inputs in (crowd / "0", crowd):
        process = start(weights, inputs, tmp_path / inputs.name)
        peaks.append(int(process.communicate()[1].split()[-1]))
    assert peaks[1] < 1.05 * peaks[0]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
