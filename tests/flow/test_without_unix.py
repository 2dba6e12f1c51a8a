"""Nothing of the package is bound to Unix: without what only Unix has, it prepares, trains and predicts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

UNIX_MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
UNIX_NAMES = ("O_DIRECTORY", "posix_fallocate", "sched_getaffinity", "wait4")

WITHOUT = """
import importlib.abc, os, sys
import psutil  # what it imports depends on the system it runs on

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in modules:
            raise ImportError(f"{name} is hidden")

modules, names = (words.split(",") for words in sys.argv[1:3])
for name in modules:
    sys.modules.pop(name, None)
for name in names:
    delattr(os, name)
sys.meta_path.insert(0, Hidden())

from pathlib import Path
from cmirnet_cli.app import run
from cmirnet_cli.scenes.dataset import write_scenes

write_scenes(Path("data"), images={"train": 4, "val": 2})
for words in (
    "prepare-data scenes --split-by demo --data data --out cache --size 96",
    "train --preset smoke --cache cache --run-dir run --epochs 1 --device cpu",
    "predict run data/scenes/images/train -e red --device cpu --out predictions",
):
    assert run(words.split()) == 0, words
assert not set(modules) & set(sys.modules)
"""


@pytest.mark.slow
def test_without_what_only_unix_has_it_prepares_trains_and_predicts(tmp_path: Path):
    words = [sys.executable, "-c", WITHOUT, ",".join(UNIX_MODULES), ",".join(UNIX_NAMES)]
    environment = os.environ | {"USERNAME": "somebody"}  # who it is, Windows says here
    done = subprocess.run(words, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "predictions").rglob("*.png"))
    assert not list(tmp_path.rglob(".cmirnet-*"))
