"""`cmirnet predict` where results cannot be written, or not all of them. Mounting a disk needs root: without it these tests are skipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
Mount = Any

MASKS = [word for number in range(60) for word in ("-e", f"cup {number}")]
"""Sixty masks, which take at least 4 KiB each."""


@pytest.fixture
def predict(cmirnet: Call, weights: Path, photos: Path) -> Call:
    return lambda out, *more: cmirnet("predict", weights, photos / "0.jpg", *MASKS, "-o", out, "--device", "cpu", *more)


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_disk_without_room_is_found_out_before_the_first_image(mount: Mount, predict: Call):
    disk = mount("-t", "tmpfs", "-o", "size=200k", "tmpfs")
    outcome = predict(disk / "out")
    assert outcome.code == 1
    assert "at least 0.2 MB are needed" in outcome.err
    assert "hint: free some space" in outcome.err
    assert written(disk) == []


def test_a_disk_that_fills_up_meanwhile_ends_the_run_and_more_room_ends_it_well(mount: Mount, predict: Call, tmp_path: Path):
    assert predict(tmp_path / "alone").code == 0
    disk = mount("-t", "tmpfs", "-o", "size=260k", "tmpfs")
    outcome = predict(disk / "out")
    assert outcome.code == 1
    assert "No space left on device" in outcome.err
    assert not (disk / "out" / "predictions.jsonl").exists()
    mount.change(disk, "-t", "tmpfs", "-o", "remount,size=4m")
    assert predict(disk / "out", "--skip-existing").code == 0
    assert written(disk / "out") == written(tmp_path / "alone")


@pytest.mark.parametrize("more", [(), ("--skip-existing",), ("--overwrite",)])
def test_a_disk_that_may_not_be_written_to_is_found_out_before_the_first_image(mount: Mount, predict: Call, tmp_path: Path, more: Any):
    assert predict(tmp_path / "results" / "out").code == 0
    before = written(tmp_path / "results")
    disk = mount("--bind", tmp_path / "results")
    mount.change(disk, "-o", "remount,ro,bind")
    outcome = predict(disk / "out" if more else disk / "new", *more)
    assert outcome.code == 1, outcome.err
    assert "Read-only file system" in outcome.err
    assert "hint: " in outcome.err
    assert written(tmp_path / "results") == before
