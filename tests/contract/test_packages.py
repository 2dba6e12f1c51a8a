"""What the wheel holds: every package of the tree, and the presets as one more."""

from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML reader")
PROJECT = Path(__file__).resolve().parents[2]


def test_pyproject_lists_every_package():
    listed = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    found = {".".join(path.parent.relative_to(PROJECT).parts) for path in (PROJECT / "cmirnet_cli").rglob("__init__.py")}
    assert set(listed) == found | {"cmirnet_cli.presets"}
