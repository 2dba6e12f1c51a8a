"""What `cmirnet doctor` examines: installation, environment, places. No other room knows of it. Light: imports nothing heavy by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cmirnet_cli.doctor.findings import Finding, findings_of


def examine(data: Path, cache: Path, runs: Path) -> Iterator[Finding]:
    """All findings, in the order in which a user needs them: what fails first makes the rest fail, too.

    Args:
        data: folder that data sets lie in.
        cache: folder of prepared caches, or one of them.
        runs: folder of training runs, or one of them.
    """
    from cmirnet_cli.doctor.environment import ROOM_FOR_A_RUN, device_findings, hub_findings, memory_findings, room_findings
    from cmirnet_cli.doctor.installation import library_findings
    from cmirnet_cli.doctor.places import cache_findings, data_findings, room_for_refcoco, run_findings

    yield from findings_of("libraries", library_findings)
    yield from findings_of("torch", device_findings)
    yield from findings_of("memory", memory_findings)
    yield from findings_of("hub", hub_findings)
    yield from findings_of(str(cache), room_findings, cache, room_for_refcoco(), "RefCOCO prepared at 480 px")
    yield from findings_of(str(runs), room_findings, runs, ROOM_FOR_A_RUN, "a run with Swin-B")
    yield from findings_of(str(data), data_findings, data)
    yield from findings_of(str(cache), cache_findings, cache)
    yield from findings_of(str(runs), run_findings, runs)
