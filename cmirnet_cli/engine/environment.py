"""What a run ran on: program, libraries, machine, git state. Light until it is asked, for then it loads torch."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

LIBRARIES = ("torch", "torchvision", "timm", "transformers", "accelerate", "h5py", "numpy", "pillow", "pycocotools")


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
