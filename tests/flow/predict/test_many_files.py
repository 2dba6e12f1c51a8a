"""Many files with every kind of broken one among them, in processes that are killed."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.app import run
from tests.flow.predict.conftest import files

MANY, BAD = 1000, 50
KILLED_AFTER = (30, 31, 400, 700)

CHILD = """
import resource, sys
from cmirnet_cli.app import run
code = run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


Spoil = Callable[[Path, bytes], object]


def as_(form: str, mode: str = "RGB") -> Spoil:
    """A picture of another kind than its name says."""
    return lambda file, whole: Image.new(mode, (16, 16)).save(file, form)


def half_a_jpeg(file: Path, whole: bytes) -> None:
    Image.effect_noise((64, 64), 50).save(file, "JPEG")
    os.truncate(file, file.stat().st_size // 2)


def damaged(file: Path, whole: bytes) -> None:
    """One bit of the compressed pixels is another."""
    changed = bytearray(whole)
    changed[60] ^= 4
    file.write_bytes(changed)


def bomb(file: Path, whole: bytes) -> None:
    """A header that promises 60,000 × 60,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    file.write_bytes(whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:])


BROKEN: dict[str, Spoil] = {
    "half": lambda file, whole: file.write_bytes(whole[: len(whole) // 2]),
    "half a JPEG": half_a_jpeg,
    "nothing": lambda file, whole: file.write_bytes(b""),
    "words": lambda file, whole: file.write_text("these are words"),
    "noise": lambda file, whole: file.write_bytes(np.random.default_rng(0).bytes(300)),
    "one bit": damaged,
    "bomb": bomb,
    "greys without a white": as_("TIFF", "F"),
    "PostScript": as_("EPS"),
    "link to nowhere": lambda file, whole: file.symlink_to("nowhere"),
    "link to itself": lambda file, whole: file.symlink_to(file.name),
    "pipe": lambda file, whole: os.mkfifo(file),
}


def write_crowd(home: Path, many: int, bad: int) -> None:
    """Tiny images, ten folders of them, so many of them broken, each kind in its turn."""
    random, kinds = np.random.default_rng(0), cycle(BROKEN.values())
    for number in range(many):
        file = home / str(number * 10 // many) / f"{number:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        encoded = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(encoded, "PNG")
        spoil = next(kinds) if number % (many // bad) == many // bad // 2 else Path.write_bytes
        spoil(file, encoded.getvalue())


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand images, every twentieth of them broken."""
    home = tmp_path_factory.mktemp("crowd")
    write_crowd(home, MANY, BAD)
    return home


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty-eight images, every fourth of them broken, each in another way."""
    home = tmp_path_factory.mktemp("few")
    write_crowd(home, 48, len(BROKEN))
    return home


def start(weights: Path, crowd: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", CHILD, *words(weights, crowd, out, *more)], text=True, **pipes)


def kill_after(process: subprocess.Popen[str], lines: int, part: Path) -> None:
    """Kill a process as soon as it has finished so many images."""
    while process.poll() is None and (not part.exists() or part.read_bytes().count(b"\n") < lines):
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    process.kill()
    process.communicate()


def words(weights: Path, crowd: Path, out: Path, *more: str) -> list[str]:
    return ["predict", str(weights), str(crowd), "-r", "-e", "the red cup", "-o", str(out), "--device", "cpu", "--json", "-q", *more]


@pytest.mark.slow
def test_every_broken_file_is_named_and_a_killed_run_ends_with_the_files_of_a_whole_one(
    weights: Path, few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(words(weights, few, tmp_path / "whole")) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["masks"], len(told["problems"])) == (48, 36, 12)
    for name, problem in zip(BROKEN, told["problems"], strict=True):
        assert problem["image"] in problem["problem"], name
        assert "bug" not in problem["problem"]
    kill_after(start(weights, few, tmp_path / "killed"), 10, tmp_path / "killed" / "predictions-00000-of-00001.jsonl")
    assert run(words(weights, few, tmp_path / "killed", "--skip-existing")) == 3
    assert 10 <= json.loads(capsys.readouterr().out)["skipped"] < 36
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


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
