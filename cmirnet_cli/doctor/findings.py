"""A finding about an installation, its data or its results: how grave it is and what to do now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, ParamSpec

from cmirnet_cli.errors import CmirnetError

P = ParamSpec("P")
Severity = Literal["ok", "note", "warning", "error"]
"""`note`: worth knowing, such as something optional that is missing; `warning`: will trouble somebody; `error`: does not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was examined.

    Attributes:
        severity: how grave it is.
        subject: what was examined, such as "memory" or a folder.
        message: what is the case, with its values.
        advice: what to do now; None only where all is well.
        exit_code: that of the command which would fail over it, for an error.
    """

    severity: Severity
    subject: str
    message: str
    advice: str | None = None
    exit_code: int = 0


def findings_of(subject: str, check: Callable[P, Iterable[Finding]], *args: P.args, **kwargs: P.kwargs) -> list[Finding]:
    """The findings of a check with these arguments; what it fails over is a finding, too.

    That is an error of ours, with its own hint and exit code, a place that may not be read, or a library that cannot be loaded.
    """
    findings: list[Finding] = []
    try:
        findings.extend(check(*args, **kwargs))
    except CmirnetError as problem:
        findings.append(Finding("error", subject, problem.message, problem.hint, problem.exit_code))
    except ImportError as problem:
        findings.append(Finding("error", subject, f"cannot be loaded: {problem}", "install it again, in a fresh virtual environment", 1))
    except OSError as problem:
        findings.append(Finding("warning", subject, f"cannot be checked: {problem}", "check the path and its permissions"))
    return findings
