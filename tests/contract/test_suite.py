"""The suite itself: CI leaves no test out."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import pytest_runtest_makereport

PROJECT = Path(__file__).resolve().parents[2]


def test_ci_runs_every_test_the_slow_ones_too():
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    options = dict(re.findall(r"^(\w+): .*\n\t\$\(PYTEST\)(.*)", makefile, re.MULTILINE))
    steps = re.findall(r"^make (\w+)$", (PROJECT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    assert steps == ["check", "tests"]
    assert set(options["tests"].split()) == {"-rs", "--durations=20"}, "nothing that selects some of them"


@pytest.mark.parametrize(
    ("ci", "fixture", "outcome"), [("true", "chromium", "failed"), ("", "chromium", "skipped"), ("true", "x", "skipped")]
)
def test_a_test_that_lacks_its_browser_fails_in_ci_alone(ci: str, fixture: str, outcome: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CI", ci)
    report = SimpleNamespace(skipped=True, outcome="skipped")
    hook = pytest_runtest_makereport(SimpleNamespace(fixturenames=[fixture]))
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(report)
    assert report.outcome == outcome
