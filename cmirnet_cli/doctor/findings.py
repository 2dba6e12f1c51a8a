"""What somebody found out about an installation, its data or its results, for `cmirnet doctor`: how grave it is and what to do now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, ParamSpec

from cmirnet_cli.errors import CmirnetError

Given = ParamSpec("Given")
Severity = Literal["ok", "note", "warning", "error"]
"""`note`: worth knowing, such as something optional that is not there; `warning`: will trouble somebody; `error`: does not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        severity: how grave it is.
        subject: what was looked at, such as "memory" or a folder.
        message: what was found, with its values.
        advice: what to do now; None only where all is well.
        exit_code: that of the command which would fail over it, for an error.
    """

    severity: Severity
    subject: str
    message: str
    advice: str | None = None
    exit_code: int = 0


def examined(subject: str, check: Callable[Given, Iterable[Finding]], *given: Given.args, **named: Given.kwargs) -> list[Finding]:
    """The findings of a check with these arguments; what it fails over is a finding, too.

    That is an error of ours, with its own hint and exit code, a place that may not be looked into, or a library that cannot be loaded.
    """
    found: list[Finding] = []
    try:
        found.extend(check(*given, **named))
    except CmirnetError as problem:
        found.append(Finding("error", subject, problem.message, problem.hint, problem.exit_code))
    except ImportError as problem:
        found.append(Finding("error", subject, f"cannot be loaded: {problem}", "install it again, in a fresh virtual environment", 1))
    except OSError as problem:
        found.append(Finding("warning", subject, f"cannot be looked into: {problem}", "check the path and its permissions"))
    return found
