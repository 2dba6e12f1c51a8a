"""`cmirnet doctor`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, get_args

import typer

from cmirnet_cli.console import console
from cmirnet_cli.doctor.findings import Finding, Severity

MARGIN = 9


def doctor(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of the data sets.")] = Path("data"),
    cache: Annotated[Path, typer.Option("--cache", metavar="DIR", help="Folder of prepared caches, or one of them.")] = Path("cache"),
    runs: Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of training runs, or one of them.")] = Path("runs"),
) -> int:
    """Look at the installation, the machine, the data, the caches and the runs, and say what to do about each finding.

    Nothing is written, and only file headers are read. Exit code: 0 if there is no error, else that of the command that the first
    error would stop: 1 the installation, 2 a run's settings, 3 data and caches, 4 weights.

    Example: cmirnet doctor
    """
    from cmirnet_cli.doctor import examine

    findings = list(examine(data, cache, runs))
    counts = Counter(finding.severity for finding in findings)
    gravest_first = [severity for severity in reversed(get_args(Severity)) if severity in counts]
    summary = ", ".join(f"{counts[each]} {each}{'s' if each != 'ok' and counts[each] > 1 else ''}" for each in gravest_first)
    described = {"severity": gravest_first[0], "findings": [asdict(finding) for finding in findings]}
    console.result(described, *map(_in_words, findings), summary)
    return next((finding.exit_code for finding in findings if finding.severity == "error"), 0)


def _in_words(finding: Finding) -> str:
    """A finding with the advice below it; a terminal may break lines, we do not, so that commands can be copied."""
    advice = f"\n→ {finding.advice}" if finding.advice else ""
    return f"{finding.severity:<{MARGIN}}" + f"{finding.subject}: {finding.message}{advice}".replace("\n", f"\n{' ' * MARGIN}")
