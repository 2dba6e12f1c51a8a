"""Drawing masks in several processes: the same masks, and no process that is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import count
from pathlib import Path

import psutil
import pytest

from cmirnet_cli.cache.drawing import WORTH_PROCESSES, draw_masks
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.workers import in_order_by_processes
from cmirnet_cli.errors import CacheError
from cmirnet_cli.refer.referent import ReferDataset

OPTIONS = CacheOptions(sizes=(8, 12))
UNGUARDED = """
from cmirnet_cli.cache.workers import in_order_by_processes

print("begun")
print(list(in_order_by_processes(abs, [-1, -2, -3], 2)))
"""
ENDLESS = """
from itertools import repeat
from time import sleep
from cmirnet_cli.cache.workers import in_order_by_processes

for _ in in_order_by_processes(sleep, repeat(0.01), 2):
    print("one more", flush=True)
"""


def test_processes_draw_find_and_refuse_what_one_process_does(draw: Callable[..., ReferDataset]):
    few = draw(images=40)
    outside, broken = ([[50.0, 10.0, 60.0, 10.0, 60.0, 20.0]],), ([[1.0, 2.0, 3.0]],)
    some = [replace(few.referents[1], objects=outside), replace(few.referents[2], objects=broken), *few.referents]
    dataset = replace(few, referents=tuple(some * (1 + WORTH_PROCESSES // len(some))))
    advanced: list[int] = []
    one, several = draw_masks(dataset, OPTIONS, lambda done: None), draw_masks(dataset, OPTIONS, advanced.append, workers=2)
    assert several.referents == one.referents
    assert several.audit == one.audit
    assert {finding.kind for finding in one.audit} >= {"outside", "left out"}
    assert [str(fault) for fault in several.faults] == [str(fault) for fault in one.faults]
    assert len(one.faults) == dataset.referents.count(some[1])
    assert sum(advanced) == len(dataset.referents)
    for name, column in one.columns.items():
        for field in fields(column):
            assert getattr(several.columns[name], field.name).tobytes() == getattr(column, field.name).tobytes(), name


def test_a_process_that_ends_by_itself_is_named():
    with pytest.raises(CacheError, match="a process that draws masks ended unexpectedly"):
        list(in_order_by_processes(os._exit, [0, 0], 2))


def test_items_are_taken_a_few_ahead_only_and_results_come_in_order():
    taken = count()
    results = in_order_by_processes(abs, (-next(taken) for _ in range(1_000)), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert next(taken) < 20
    results.close()


def test_a_script_that_uses_them_is_run_once_whether_it_guards_itself_or_not(tmp_path: Path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    ended = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("begun\n[1, 2, 3]\n", "")


def test_processes_end_when_the_one_that_started_them_is_killed():
    with subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "one more\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(signal.SIGKILL)
    assert len(children) >= 2
    assert psutil.wait_procs(children, timeout=60)[1] == []
