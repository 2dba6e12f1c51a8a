"""`cmirnet doctor`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, get_args

import typer

from cmirnet_cli.console import console
from cmirnet_cli.doctor.findings import Finding, Severity, examined

MARGIN = 9
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


def doctor(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder that data sets lie in.")] = Path("data"),
    cache: Annotated[Path, typer.Option("--cache", metavar="DIR", help="Folder of prepared caches, or one of them.")] = Path("cache"),
    runs: Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of training runs, or one of them.")] = Path("runs"),
) -> int:
    """Look at the installation, the machine, the data, the caches and the runs, and say what to do about each finding.

    Nothing is written, and only file headers are read. Exit code: 0 where nothing is an error; else that of the command which
    would fail over the first one: 1 the installation, 2 a run's settings, 3 data and caches, 4 weights.

    Example: cmirnet doctor
    """
    findings = [*_installation(), *_room(cache, runs), *_places(data, cache, runs)]
    worst = _worst(findings)
    console.result({"severity": worst, "findings": [asdict(finding) for finding in findings]}, *map(_lines, findings), _summary(findings))
    return next((finding.exit_code for finding in findings if finding.severity == "error"), 0)


def _installation() -> Iterator[Finding]:
    from cmirnet_cli.doctor.environment import device_findings, hub_findings, memory_findings
    from cmirnet_cli.doctor.installation import library_findings

    for subject, check in {"libraries": library_findings, "torch": device_findings, "memory": memory_findings, "hub": hub_findings}.items():
        yield from examined(subject, check)


def _room(cache: Path, runs: Path) -> Iterator[Finding]:
    from cmirnet_cli.doctor.environment import ROOM_FOR_A_RUN, room_findings
    from cmirnet_cli.doctor.places import room_for_refcoco

    yield from examined(str(cache), room_findings, cache, room_for_refcoco(), "RefCOCO prepared at 480 px")
    yield from examined(str(runs), room_findings, runs, ROOM_FOR_A_RUN, "a run with Swin-B")


def _places(data: Path, cache: Path, runs: Path) -> Iterator[Finding]:
    from cmirnet_cli.doctor.places import cache_findings, data_findings, run_findings

    for place, check in ((data, data_findings), (cache, cache_findings), (runs, run_findings)):
        yield from examined(str(place), check, place)


def _worst(findings: Sequence[Finding]) -> Severity:
    return max((finding.severity for finding in findings), key=SEVERITIES.index)


def _lines(finding: Finding) -> str:
    """A finding with the advice below it; a terminal may break lines, we do not, so that commands can be copied."""
    advice = f"\n→ {finding.advice}" if finding.advice else ""
    told = f"{finding.subject}: {finding.message}{advice}"
    return f"{finding.severity:<{MARGIN}}" + told.replace("\n", f"\n{' ' * MARGIN}")


def _summary(findings: Sequence[Finding]) -> str:
    """Such as "1 error, 2 warnings, 9 ok"."""
    counted = Counter(finding.severity for finding in findings)
    plural = {severity: "" if severity == "ok" or count == 1 else "s" for severity, count in counted.items()}
    return ", ".join(f"{counted[severity]} {severity}{plural[severity]}" for severity in reversed(SEVERITIES) if severity in counted)
