"""Disks that are full, fill up, or may not be written to. Mounting one needs root: without it these tests are skipped, and say so."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmirnet_cli.cache.folder import find_cache
from cmirnet_cli.cache.reader import Cache, verify
from cmirnet_cli.cache.schema import CacheOptions, Store
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.errors import CacheError
from cmirnet_cli.refer.jsonl import read_jsonl

Call = Callable[..., Any]
Content = Callable[[Path], dict[str, bytes]]
Mount = Any

KIB = 1 << 10
ENOUGH = 4.0
"""Times the finished cache, where that is so small: HDF5 is given some room beside what is known to be needed."""


@pytest.fixture(scope="module")
def lines(own_data: Callable[[int], Path]) -> Path:
    return own_data(600)


@pytest.fixture(scope="module")
def alone(lines: Path, call: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of an undisturbed run: two shards."""
    out = tmp_path_factory.mktemp("alone")
    assert call("prepare-data", lines, "--out", out, "--size", 8).code == 0
    return out


def used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("share", [0.3, ENOUGH, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.0, 0.9, 1.1, 1.4, 1.8))])
def test_a_disk_that_is_too_small_is_said_and_a_larger_one_ends_the_same(
    mount: Mount, lines: Path, alone: Path, call: Call, content: Content, share: float
):
    disk = mount("-t", "tmpfs", "-o", f"size={max(4 * KIB, int(share * used(alone)))}", "tmpfs")
    words = ["prepare-data", lines, "--out", disk, "--size", 8]
    first = call(*words)
    assert first.code in (0, 3), first.err
    if first.code == 3:
        assert " MB free" in first.err or "No space left on device" in first.err
        assert "hint: " in first.err
        with pytest.raises(CacheError, match="no prepared cache"):
            find_cache(disk)
        mount.change(disk, "-t", "tmpfs", "-o", "remount,size=64m")
        assert call(*words).code == 0
    assert first.code == (3 if share < 1 else 0 if share >= ENOUGH else first.code)
    assert content(disk) == content(alone)


@pytest.mark.parametrize(
    ("store", "step", "fails"),
    [
        ("decoded", 300, True),
        ("decoded", 1111, True),
        ("decoded", 1113, False),
        ("encoded", 601, False),  # what is left of the first shard's claim is enough here
        *(pytest.param("decoded", step, step < 1112, marks=pytest.mark.slow) for step in (1, 600, 601, 1200)),
        *(pytest.param("encoded", step, step < 601, marks=pytest.mark.slow) for step in (1, 300, 600, 1111, 1113, 1200)),
    ],
)
def test_a_disk_that_fills_up_meanwhile_costs_no_more_than_the_time(
    mount: Mount, lines: Path, tmp_path: Path, content: Content, store: Store, step: int, fails: bool
):
    """Somebody else takes all that is free from this step on: of 600 masks first, then of 512 and of 88 images.

    A file's room is claimed before it is begun, so the last one is finished.
    """
    dataset, options = read_jsonl(lines), CacheOptions(store=store, sizes=(40,))
    write_cache(dataset, tmp_path / "alone", options)
    disk = mount("-t", "tmpfs", "-o", "size=8m", "tmpfs")
    done = 0

    def fill(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= step:
            with (disk / "film").open("ab") as film:
                film.write(bytes(shutil.disk_usage(disk).free))

    if fails:
        with pytest.raises(CacheError, match="No space left on device"):
            write_cache(dataset, disk / "cache", options, advance=fill)
        assert not (disk / "cache").exists()
        assert not list(disk.glob("cache.*/.cmirnet-*"))
    else:
        write_cache(dataset, disk / "cache", options, advance=fill)
    (disk / "film").unlink()
    write_cache(dataset, disk / "cache", options)
    assert content(disk / "cache") == content(tmp_path / "alone")
    assert [path.name for path in disk.iterdir()] == ["cache"]


@pytest.fixture
def read_only(mount: Mount, alone: Path) -> Path:
    """The finished cache on a disk that may not be written to, not even by root."""
    disk = mount("--bind", alone)
    mount.change(disk, "-o", "remount,ro,bind")
    with pytest.raises(OSError, match="Read-only file system"):
        (disk / "x").touch()
    return disk


def test_a_read_only_cache_is_read_in_every_way(read_only: Path, alone: Path, tmp_path: Path, call: Call):
    assert call("cache", "info", read_only).code == 0
    assert call("cache", "verify", read_only).code == 0
    assert call("cache", "show", read_only, "--split", "train", "--limit", 3, "--out", tmp_path / "page.html").code == 0
    for ours, theirs in zip(samples(read_only), samples(alone), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def samples(out: Path) -> list[Any]:
    cache = Cache.open(find_cache(out))
    return [cache.sample(row, 0, 8).image for row in (0, 511, 512, 599)]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_worker_processes_read_a_read_only_cache(read_only: Path, method: str):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {method}")
    cache = Cache.open(find_cache(read_only))
    expected = cache.sample(599, 0, 8)
    with multiprocessing.get_context(method).Pool(2) as pool:
        for sample in pool.map(methodcaller("sample", 599, 0, 8), [cache] * 3):
            np.testing.assert_array_equal(sample.image, expected.image)


@pytest.mark.parametrize("locking", ["TRUE", "FALSE", "BEST_EFFORT"])
def test_hdf5s_own_locks_are_not_asked_for(read_only: Path, locking: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", locking)
    assert samples(read_only)[0].shape == (8, 8, 3)


def test_preparing_what_is_there_already_needs_no_writing(read_only: Path, lines: Path, call: Call):
    assert call("prepare-data", lines, "--out", read_only, "--size", 8).code == 0


def test_notes_of_a_killed_run_that_cannot_be_removed_do_no_harm(mount: Mount, alone: Path, tmp_path: Path, lines: Path, call: Call):
    shutil.copytree(alone, tmp_path / "copy")
    (tmp_path / "copy" / "own-jsonl" / "images-00000.h5.sha256").write_text("note")
    disk = mount("--bind", tmp_path / "copy")
    mount.change(disk, "-o", "remount,ro,bind")
    assert call("prepare-data", lines, "--out", disk, "--size", 8).code == 0
    assert verify(find_cache(disk)) == []


@pytest.mark.parametrize("more", [["--size", 9], ["--size", 8, "--overwrite"]])
def test_writing_to_a_read_only_disk_is_refused_by_name(read_only: Path, lines: Path, call: Call, more: list[object]):
    for out in (read_only / "new", read_only):
        outcome = call("prepare-data", lines, "--out", out, *more)
        assert outcome.code == 3, outcome.err
        assert "Read-only file system" in outcome.err or "holds another cache" in outcome.err
    assert verify(find_cache(read_only)) == []


def test_a_folder_that_may_not_be_written_to_is_refused_by_name(call: Call, lines: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    outcome = call("prepare-data", lines, "--out", tmp_path / "file" / "cache")
    assert (outcome.code, "Not a directory" in outcome.err) == (3, True), outcome.err


@pytest.mark.parametrize("option", ["--report", "--out"])
def test_a_disk_that_is_read_only_is_refused_before_anything_is_scored(
    read_only: Path, alone: Path, weights: Path, call: Call, option: str
):
    outcome = call("eval", weights, "--cache", alone, "--split", "train", "--device", "cpu", option, read_only / "scored")
    assert (outcome.code, "cannot write to" in outcome.err, "score " in outcome.err) == (1, True, False), outcome.err


def test_a_disk_that_is_too_small_for_a_page_is_refused_before_anything_is_scored(
    mount: Mount, lines: Path, weights: Path, call: Call, tmp_path: Path
):
    assert call("prepare-data", lines, "--out", tmp_path, "--size", 64).code == 0
    disk = mount("-t", "tmpfs", "-o", f"size={64 * KIB}", "tmpfs")
    outcome = call("eval", weights, "--cache", tmp_path, "--split", "train", "--device", "cpu", "--report", disk / "page.html")
    assert (outcome.code, "MB are needed" in outcome.err, "score " in outcome.err) == (1, True, False), outcome.err
