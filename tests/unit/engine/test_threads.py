"""Threads follow the cores that the process really has: its affinity, its container's quota, and the processes that load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmirnet_cli.engine.threads import threads_for, usable_cores

COUNT = """
import os, sys, torch
from cmirnet_cli.engine.threads import use_own_cores
os.sched_setaffinity(0, {0})
before = torch.get_num_threads()
use_own_cores(int(sys.argv[1]))
print(torch.get_num_threads(), torch.get_num_threads() == before)
"""


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)


def system(root: Path, table: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": table, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = "0::/pod/job\n"
V1 = "4:memory:/job\n3:cpu,cpuacct:/job\n0::/\n"
V1_GROUP = "sys/fs/cgroup/cpu,cpuacct/job"


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("table", "files", "cores"),
    [
        ("", {}, 8),
        (V2, {"sys/fs/cgroup/pod/job/cpu.max": "max 100000\n"}, 8),
        (V2, {"sys/fs/cgroup/pod/job/cpu.max": "200000 100000\n"}, 2),
        (V2, {"sys/fs/cgroup/pod/job/cpu.max": "350000 100000\n"}, 3),
        (V2, {"sys/fs/cgroup/pod/job/cpu.max": "50000 100000\n"}, 1),
        (V2, {"sys/fs/cgroup/pod/job/cpu.max": "max 100000\n", "sys/fs/cgroup/pod/cpu.max": "400000 100000\n"}, 4),
        (V2, {"sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3),
        (V2, {"sys/fs/cgroup/pod/job/cpu.max": "9900000 100000\n"}, 8),
        (V1, {f"{V1_GROUP}/cpu.cfs_quota_us": "-1\n", f"{V1_GROUP}/cpu.cfs_period_us": "100000\n"}, 8),
        (V1, {f"{V1_GROUP}/cpu.cfs_quota_us": "60000\n", f"{V1_GROUP}/cpu.cfs_period_us": "20000\n"}, 3),
        ("3:cpu:/\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 2),
    ],
)
def test_a_container_s_quota_limits_the_cores(tmp_path: Path, table: str, files: dict[str, str], cores: int):
    assert usable_cores(system(tmp_path, table, files)) == cores


@pytest.mark.usefixtures("eight_cores")
def test_loading_processes_and_processes_of_a_launcher_have_cores_of_their_own(monkeypatch: pytest.MonkeyPatch):
    whole = usable_cores()
    assert [threads_for(workers) for workers in (0, 2, 100)] == [whole, max(1, whole - 2), 1]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert threads_for() == max(1, whole // 2)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_torch_computes_with_as_many_threads_unless_the_environment_says_otherwise():
    def counted(**chosen: str) -> list[str]:
        environment = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name} | chosen
        words = [sys.executable, "-c", COUNT, "0"]
        return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout.split()

    assert counted()[0] == "1"
    assert counted(OMP_NUM_THREADS="2")[1] == "True"
