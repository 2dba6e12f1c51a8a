"""Processes that are measured."""

from __future__ import annotations

import multiprocessing
import os
import sys

import pytest

from cmirnet_cli.engine.environment import in_fresh_process, machine, peak_memory_mib


def memory_with(mebibytes: int) -> tuple[int, float]:
    block = bytearray(mebibytes << 20)
    block[:: 1 << 12] = b"x" * len(block[:: 1 << 12])
    return os.getpid(), peak_memory_mib()


def start_method() -> str:
    return multiprocessing.get_start_method()


def test_machine_says_what_this_one_has():
    found = machine()
    assert found["cores"] <= (os.cpu_count() or 1)
    assert found["memory_gib"] == pytest.approx(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, abs=0.1)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["processor"]


def test_a_fresh_process_is_another_one_with_memory_of_its_own():
    block = bytearray(b"x") * (300 << 20)
    process, memory = in_fresh_process(memory_with, 100)
    assert process != os.getpid()
    assert 100 < memory < 100 + 150 < 300 < peak_memory_mib()
    assert len(block) == 300 << 20


def test_a_fresh_process_starts_others_as_this_one_would():
    assert in_fresh_process(start_method) == start_method()
