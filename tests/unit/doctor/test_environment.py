"""What a machine can do, told in words."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from cmirnet_cli.doctor.environment import device_findings, memory_findings, room_findings
from cmirnet_cli.engine.environment import memory_gib


def test_a_folder_yet_to_be_made_is_judged_by_the_disk_it_will_lie_on(tmp_path: Path):
    (found,) = room_findings(tmp_path / "not" / "there", 0.0, "nothing")
    assert found.severity == "ok"
    assert f"{shutil.disk_usage(tmp_path).free / 2**30:,.0f} GiB free" == found.message
    assert not (tmp_path / "not").exists()


def test_too_little_room_is_a_warning_that_says_how_much_is_needed(tmp_path: Path):
    (found,) = room_findings(tmp_path, 1e6, "everything")
    assert (found.severity, found.message.partition("; ")[2]) == ("warning", "everything takes 1000000 GiB")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_a_warning(tmp_path: Path):
    tmp_path.chmod(0o500)
    (found,) = room_findings(tmp_path, 0.0, "nothing")
    assert (found.severity, str(tmp_path) in found.message) == ("warning", True)


def test_memory_is_what_the_system_says():
    usable, free = memory_gib()
    assert 0 < free <= usable <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = next(memory_findings())
    assert found.message.endswith(f" of {usable:.1f} GiB free")


def test_the_processor_and_every_gpu_are_named():
    subjects = [found.subject for found in device_findings()]
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["mps" if torch.backends.mps.is_available() else "gpu"]
    assert subjects == ["cpu", *gpus]
