"""How many cores this process really has, and how many threads compute. Light: torch is loaded only to set that number."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CHOSEN_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables by which users, and launchers such as torchrun, choose the number of threads themselves."""


def usable_cores(system: Path = Path("/")) -> int:
    """Cores for this process: those it may run on, or the whole ones among those its container's quota pays for; at least one.

    Args:
        system: where `proc` and `sys` lie, which tell the quota on Linux.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([allowed, *_quotas(system)])))


def threads_for(workers: int = 0) -> int:
    """Threads that compute beside so many loading processes, in each of the processes that a launcher started on this machine."""
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - workers)


def use_own_cores(workers: int = 0) -> None:
    """Let torch compute with `threads_for(workers)` threads, unless the environment chooses their number."""
    if not any(os.environ.get(name) for name in CHOSEN_BY):
        import torch

        torch.set_num_threads(threads_for(workers))


def _quotas(system: Path) -> Iterator[float]:
    """Cores that each control group of this process may use at a time, where it has a quota (cgroup v2 and v1)."""
    table, root = system / "proc/self/cgroup", system / "sys/fs/cgroup"
    for line in table.read_text(encoding="utf-8").splitlines() if table.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from (_share(file) for file in _files(root, path, "cpu.max"))
        elif "cpu" in controllers.split(","):
            for mount in (root / controllers, root / "cpu"):
                yield from (_share(file, file.with_name("cpu.cfs_period_us")) for file in _files(mount, path, "cpu.cfs_quota_us"))


def _files(root: Path, path: str, name: str) -> Iterator[Path]:
    """The files of that name in a group and in those around it; a container may see its own group as the root."""
    group = Path(path.lstrip("/"))
    yield from (file for place in (group, *group.parents) if (file := root / place / name).is_file())


def _share(quota: Path, period: Path | None = None) -> float:
    """Quota by period; infinite where there is no quota. The file of cgroup v2 holds both."""
    numbers = quota.read_text(encoding="utf-8").split() + (period.read_text(encoding="utf-8").split() if period else [])
    limited = len(numbers) > 1 and all(each.isdigit() for each in numbers[:2])
    return int(numbers[0]) / int(numbers[1]) if limited else float("inf")
