"""Checks become findings, whatever they end with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cmirnet_cli.doctor.findings import Finding, findings_of
from cmirnet_cli.errors import CacheError

GOOD = Finding("ok", "disk", "all well")


def failing(problem: Exception) -> Iterator[Finding]:
    yield GOOD
    raise problem


def test_findings_before_a_failure_are_kept_and_an_error_of_ours_is_one_more():
    found = findings_of("cache", failing, CacheError("it is broken", hint="make it anew"))
    assert found == [GOOD, Finding("error", "cache", "it is broken", "make it anew", 3)]


@pytest.mark.parametrize(("problem", "severity", "code"), [(PermissionError("no"), "warning", 0), (ImportError("no torch"), "error", 1)])
def test_closed_folders_are_warnings_and_broken_libraries_errors(problem: Exception, severity: str, code: int):
    good, bad = findings_of("place", failing, problem)
    assert (good, bad.severity, bad.exit_code) == (GOOD, severity, code)
    assert str(problem) in bad.message
    assert bad.advice


def test_mistakes_of_our_own_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        findings_of("place", failing, ZeroDivisionError())
