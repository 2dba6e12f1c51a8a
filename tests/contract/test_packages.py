"""The version stands in one place."""

import re
from pathlib import Path

import pytest

from cmirnet_cli import __version__

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML reader")
PROJECT = Path(__file__).resolve().parents[2]


def test_the_version_stands_in_the_package_and_the_changelog_tells_of_it():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "cmirnet_cli.__version__"}
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert releases[0] == __version__
