"""Whether Python and the libraries are those that the package asks for. Light: imports none of them."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cmirnet_cli import __version__
from cmirnet_cli.doctor.findings import Finding

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
    needed = _requirements(PACKAGE, None)
    yield _needed(needed)
    if clashes := _clashes(needed):
        again = "install them again together, in a fresh virtual environment"
        yield Finding("warning", "library versions", ", ".join(clashes), again)
    for extra in metadata(PACKAGE).get_all("Provides-Extra") or []:
        if extra != FOR_DEVELOPERS:
            yield _optional(extra, _requirements(PACKAGE, extra))


def _clashes(libraries: list[Requirement]) -> list[str]:
    """Where two of these libraries do not fit together, as a torchvision that was built for another torch."""
    names = {_key(one) for one in libraries}
    there = [one.name for one in libraries if _found(one.name)]
    asked = [(name, wanted) for name in there for wanted in _requirements(name, None) if _key(wanted) in names]
    return [f"{name} {version(name)} asks for {wanted}: {reason}" for name, wanted in asked if (reason := _reason(wanted))]


def _key(wanted: Requirement) -> str:
    return canonicalize_name(wanted.name)


def _requirements(package: str, extra: str | None) -> list[Requirement]:
    """What pip installs for a package with an extra and not without it; for None, what it always installs."""
    wanted = _required(package)
    always = [one for one in wanted if _applies(one, "")]
    return always if extra is None else [one for one in wanted if one not in always and _applies(one, extra)]


@cache
def _required(package: str) -> tuple[Requirement, ...]:
    return tuple(map(Requirement, requires(package) or ()))


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
        return Finding("note", subject, ", ".join(lacking), f"to use it: pip install '{PACKAGE}[{extra}]'")
    return Finding("ok", subject, f"installed: {names}")


def _reason(wanted: Requirement) -> str | None:
    """In what way a library is not as it is asked for; None if it is."""
    found = _found(wanted.name)
    if found is None:
        return f"{wanted.name} is missing"
    fits = wanted.specifier.contains(found, prereleases=True)
    return None if fits else f"{wanted.name} is {found}, not {wanted.specifier}"


@cache
def _found(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
