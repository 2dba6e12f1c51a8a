"""What a run ran on: program, libraries, git state, machine; and processes whose memory is measured.

Light: torch is loaded only when it is needed.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import psutil

from cmirnet_cli.engine.threads import usable_cores
from cmirnet_cli.processor import proc_value, processor_name

LIBRARIES = ("torch", "torchvision", "timm", "transformers", "accelerate", "h5py", "numpy", "pillow", "pycocotools")
MIB, GIB = 1 << 20, 1 << 30
Result = TypeVar("Result")


def environment() -> dict[str, Any]:
    """As plain data."""
    import torch

    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "program": version("cmirnet"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": library_versions(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "git": _git_state(),
    }


def library_versions() -> dict[str, str]:
    """Of the libraries that numbers depend on."""
    return {name: version(name) for name in LIBRARIES}


def _git_state() -> dict[str, str] | None:
    """Commit and uncommitted files of the working folder; None outside a repository or without git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "changes": _git("status", "--porcelain")}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def machine() -> dict[str, object]:
    """As plain data: processor, cores that this process may use, memory in GiB, system, Python and libraries."""
    return {
        "processor": processor_name(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": library_versions(),
    }


def machine_in_words() -> str:
    """One line of it."""
    facts = machine()
    return f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB, Python {facts['python']}"


def memory_gib() -> tuple[float, float]:
    """Memory that this process may use, and what of the machine's is free now, in GiB; a container's limit counts."""
    memory, limit = psutil.virtual_memory(), Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="utf-8").strip() if limit.is_file() else "max"
    usable = min(memory.total, int(text)) if text.isdigit() else memory.total
    return usable / GIB, min(usable, memory.available) / GIB


def peak_memory_mib() -> float:
    """The most memory that this process held so far; on Linux by its own table, because getrusage counts what the parent held, too."""
    if peak := proc_value("self/status", "VmHWM"):
        return int(peak.split()[0]) / 1024
    windows = getattr(psutil.Process().memory_info(), "peak_wset", None)
    if windows is not None:
        return float(windows) / MIB
    try:
        import resource
    except ImportError:
        return math.nan
    unit = 1 if sys.platform == "darwin" else 1024  # of getrusage, which tells bytes on macOS only
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function in a new process that imports only what it needs; function, arguments and result must be picklable.

    Processes that the function starts are started as this one would: a spawned process would spawn its own.
    """
    own = multiprocessing.get_start_method()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, _start_processes_by, (own,)) as pool:
        return pool.submit(function, *arguments).result()


def _start_processes_by(method: str) -> None:
    multiprocessing.set_start_method(method, force=True)
