"""Whether Python and the libraries are those that the package asks for. Light: imports none of them."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement

from cmirnet_cli import __version__
from cmirnet_cli.findings import Finding

PACKAGE = "cmirnet"
FOR_DEVELOPERS = "dev"
NAMED = ("torch", "transformers", "timm")
"""Libraries whose versions are worth a look where all is well."""


def library_findings() -> Iterator[Finding]:
    """Python, the libraries that everything needs, and those of each extra.

    Raises:
        ImportError: the package itself is not installed.
    """
    yield Finding("ok", "python", f"cmirnet {__version__} on Python {platform.python_version()}, {platform.platform()}")
    yield _needed(_requirements(None))
    for extra in metadata(PACKAGE).get_all("Provides-Extra") or []:
        if extra != FOR_DEVELOPERS:
            yield _optional(extra, _requirements(extra))


def _requirements(extra: str | None) -> list[Requirement]:
    """What pip installs with an extra and not without it; for None, what it always installs."""
    wanted = [Requirement(text) for text in requires(PACKAGE) or []]
    always = [one for one in wanted if _applies(one, "")]
    return always if extra is None else [one for one in wanted if one not in always and _applies(one, extra)]


def _applies(wanted: Requirement, extra: str) -> bool:
    return wanted.marker is None or wanted.marker.evaluate({"extra": extra})


def _needed(wanted: list[Requirement]) -> Finding:
    lacking = [(one, reason) for one in wanted if (reason := _reason(one))]
    if lacking:
        again = " ".join(f"'{one.name}{one.specifier}'" for one, _ in lacking)
        return Finding("error", "libraries", ", ".join(reason for _, reason in lacking), f"install them with: pip install {again}", 1)
    return Finding("ok", "libraries", f"all {len(wanted)} there: " + ", ".join(f"{name} {version(name)}" for name in NAMED))


def _optional(extra: str, wanted: list[Requirement]) -> Finding:
    lacking = [reason for one in wanted if (reason := _reason(one))]
    subject, names = f"extra [{extra}]", ", ".join(one.name for one in wanted)
    if lacking:
        return Finding("note", subject, ", ".join(lacking), f"where you want it: pip install '{PACKAGE}[{extra}]'")
    return Finding("ok", subject, f"installed: {names}")


def _reason(wanted: Requirement) -> str | None:
    """In what way a library is not as it is asked for; None if it is."""
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return f"{wanted.name} is missing"
    fits = wanted.specifier.contains(found, prereleases=True)
    return None if fits else f"{wanted.name} is {found}, not {wanted.specifier}"
