"""`prepare-data` killed at any moment: the next run goes on and ends in the bytes of an undisturbed one; nothing only looks complete."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmirnet_cli.cache.folder import find_cache
from cmirnet_cli.cache.reader import Cache, verify
from cmirnet_cli.errors import CacheError

Call = Callable[..., Any]
Start = Callable[..., Any]
Content = Callable[[Path], dict[str, bytes]]

IMAGES = 1100
"""Three shards."""

FILE_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}


def words(lines: Path, out: Path, *more: object) -> list[object]:
    return ["prepare-data", lines, "--out", out, "--size", 8, *more]


def assert_whole_or_absent(out: Path, said: str = "") -> None:
    """Whatever can be found and opened below `out` is a whole cache."""
    folder = out / "own-jsonl"
    if (folder / "manifest.json").exists():
        assert verify(folder) == [], said
    else:
        with pytest.raises(CacheError):
            Cache.open(folder)
        with pytest.raises(CacheError, match="no prepared cache"):
            find_cache(out)


def assert_same(out: Path, alone: Path, content: Content) -> None:
    """The same files with the same bytes, and nothing beside them."""
    assert content(out) == content(alone)
    assert [path.name for path in out.iterdir()] == ["own-jsonl"]


def kill_at_random(times: int, lines: Path, tmp_path: Path, call: Call, start: Start, content: Content, *more: object) -> None:
    """Run, kill, run again; when a run comes to its end, compare and begin anew."""
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    began = time.monotonic()
    assert start(*words(lines, alone, *more)).ended().code == 0
    longest, moments, kills = time.monotonic() - began, random.Random(times), 0
    while kills < times:
        run = start(*words(lines, killed, *more))
        run.process.join(moments.uniform(0, longest))
        if run.process.is_alive():
            run.kill()
            kills += 1
            assert_whole_or_absent(killed, run.said.read_text())
        else:
            assert run.ended().code == 0, run.said.read_text()
            assert_same(killed, alone, content)
            shutil.rmtree(killed)
    assert call(*words(lines, killed, *more)).code == 0
    assert_same(killed, alone, content)


@pytest.fixture(scope="module")
def small(own_data: Callable[[int], Path]) -> Path:
    return own_data(5)


@pytest.fixture(scope="module")
def large(own_data: Callable[[int], Path]) -> Path:
    return own_data(IMAGES)


@pytest.mark.slow
def test_five_kills_at_random_moments_leave_no_trace(small: Path, tmp_path: Path, call: Call, start: Start, content: Content):
    kill_at_random(5, small, tmp_path, call, start, content)


@pytest.mark.slow
@pytest.mark.parametrize("store", ["decoded", "encoded"])
def test_fifty_kills_at_random_moments_leave_no_trace(large: Path, tmp_path: Path, call: Call, start: Start, content: Content, store: str):
    kill_at_random(50, large, tmp_path, call, start, content, "--store", store)


def signal_at(number: int, out: Path, send: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """Makes a process send itself a signal just before the `number`-th time that it does something to a file below `out`."""
    left = number

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in FILE_EVENTS and any(str(one).startswith(f"{out}{os.sep}") for one in arguments):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), send)

    return lambda: sys.addaudithook(watch)


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 6])
@pytest.mark.parametrize("overwrite", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_kill_before_any_single_file_operation_leaves_no_trace(
    small: Path, tmp_path: Path, call: Call, start: Start, content: Content, overwrite: bool, step: int
):
    """As many runs as there are operations; with `overwrite`, over a finished cache of other options, which makes way at the end."""
    alone, older = tmp_path / "alone", tmp_path / "older"
    more = ["--overwrite"] if overwrite else []
    assert call(*words(small, alone)).code == 0
    assert call(*words(small, older, "--store", "encoded")).code == 0
    number, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        number += step
        out = tmp_path / str(number)
        if overwrite:
            shutil.copytree(older, out)
        run = start(*words(small, out, *more), before=signal_at(number, out))
        code = run.ended().code
        assert_whole_or_absent(out)
        assert call(*words(small, out, *more)).code == 0
        assert_same(out, alone, content)
    assert code == 0
    assert number > 20


def test_what_a_kill_at_the_very_end_leaves_is_swept_by_the_next_run(small: Path, tmp_path: Path, call: Call, content: Content):
    assert call(*words(small, tmp_path / "out")).code == 0
    whole = content(tmp_path / "out")
    (tmp_path / "out" / "own-jsonl" / "images-00000.h5.sha256").write_text("note")
    shutil.copytree(tmp_path / "out" / "own-jsonl", tmp_path / "out" / "own-jsonl.replaced")
    assert find_cache(tmp_path / "out") == tmp_path / "out" / "own-jsonl"
    assert call(*words(small, tmp_path / "out")).code == 0
    assert content(tmp_path / "out") == whole


def test_a_run_that_waits_for_a_killed_one_finishes_its_work(small: Path, tmp_path: Path, call: Call, start: Start, content: Content):
    assert call(*words(small, tmp_path / "alone")).code == 0
    out = tmp_path / "out"
    first = start(*words(small, out), before=signal_at(12, out, send=signal.SIGSTOP))
    os.waitid(os.P_PID, first.process.pid, os.WSTOPPED)
    second = start(*words(small, out))
    second.says("waiting for it")
    first.kill()
    assert second.ended().code == 0
    assert_same(out, tmp_path / "alone", content)


@pytest.mark.parametrize("more", [[], pytest.param(["--overwrite"], marks=pytest.mark.slow)])
def test_four_writers_at_once_end_well_in_the_same_bytes(
    large: Path, tmp_path: Path, call: Call, start: Start, content: Content, more: list[str]
):
    assert call(*words(large, tmp_path / "alone")).code == 0
    runs = [start(*words(large, tmp_path / "out", *more)) for _ in range(4)]
    ends = [run.ended() for run in runs]
    assert [end.code for end in ends] == [0] * 4, [end.err for end in ends]
    assert_same(tmp_path / "out", tmp_path / "alone", content)


@pytest.mark.slow
def test_writers_of_different_options_that_replace_each_other_leave_one_whole_cache(large: Path, tmp_path: Path, start: Start):
    runs = [start(*words(large, tmp_path / "out", "--overwrite", "--store", store)) for store in ("decoded", "encoded") * 2]
    ends = [run.ended() for run in runs]
    assert {end.code for end in ends} <= {0, 3}, [end.err for end in ends]
    assert verify(tmp_path / "out" / "own-jsonl") == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["own-jsonl"]


def test_a_complete_cache_that_was_damaged_is_named_by_the_next_run(small: Path, tmp_path: Path, call: Call):
    assert call(*words(small, tmp_path / "out")).code == 0
    shard = tmp_path / "out" / "own-jsonl" / "images-00000.h5"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 4
    shard.write_bytes(data)
    again = call(*words(small, tmp_path / "out"))
    assert again.code == 3
    assert "images-00000.h5 (content differs from the manifest's sha256)" in again.err
    assert "cmirnet prepare-data own.jsonl --size 8 --out" in again.err
    verified = call("cache", "verify", tmp_path / "out")
    assert (verified.code, verified.out) == (3, "images-00000.h5: content differs from the manifest's sha256\n")
    assert call(*words(small, tmp_path / "out", "--overwrite")).code == 0
    assert call("cache", "verify", tmp_path / "out").code == 0
