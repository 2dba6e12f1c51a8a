"""Who may import whom stands in pyproject.toml: import-linter finds what is against it, in every form of an import."""

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = "cmirnet_cli"
FORBIDDEN = {
    "cache": ("import cmirnet_cli.engine.training.loop", "engine.training.loop"),
    "refer": ("from cmirnet_cli import engine", "engine"),
    "model": ("from ..engine import training", "engine.training"),
    "batches": ("def late():\n    from cmirnet_cli.engine.training import loop", "engine.training.loop"),
    "images": ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cmirnet_cli.engine import training", "engine.training"),
    "weights": ("from cmirnet_cli.console import console", "console"),
    "scenes": ("from cmirnet_cli.config import Settings", "config"),
    "export": ("from cmirnet_cli.metrics import scores", "metrics.scores"),
}
"""Room → an import that it may not make, in different forms and against different contracts; and the module that it names."""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The package and its rules in a folder of their own."""
    shutil.copytree(PROJECT / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_every_import_is_allowed():
    linted = lint(PROJECT)
    assert linted.returncode == 0, linted.stdout


def test_a_forbidden_import_is_found_in_every_form(copied):
    for room, (source, _) in FORBIDDEN.items():
        (copied / PACKAGE / room / "forbidden.py").write_text(source)
    linted = lint(copied)
    assert linted.returncode == 1
    said = {f"{PACKAGE}.{room}.forbidden -> {PACKAGE}.{name}" for room, (_, name) in FORBIDDEN.items()}
    assert [line for line in said if line not in linted.stdout] == [], linted.stdout


def test_a_room_without_a_place_is_found(copied):
    (copied / PACKAGE / "attic").mkdir()
    (copied / PACKAGE / "attic" / "__init__.py").touch()
    linted = lint(copied)
    assert linted.returncode == 1
    assert "attic" in linted.stdout


def test_options_need_nothing_beyond_typer():
    graph = grimp.build_graph(PACKAGE, include_external_packages=True)
    imported = graph.find_modules_directly_imported_by(f"{PACKAGE}.options")
    assert imported - sys.stdlib_module_names == {"typer"}
