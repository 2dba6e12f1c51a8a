"""Whether Python and the libraries are those that the package requires. Light: imports none of them."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cmirnet_cli import __version__
from cmirnet_cli.doctor.findings import Finding

PACKAGE = "cmirnet"
FOR_DEVELOPERS = "dev"
NAMED = ("torch", "transformers", "timm")
"""Libraries whose versions are named where all is well."""


def library_findings() -> Iterator[Finding]:
    """Python, the libraries that everything needs, and those of each extra.

    Raises:
        ImportError: the package itself is not installed.
    """
    yield Finding("ok", "python", f"cmirnet {__version__} on Python {platform.python_version()}, {platform.platform()}")
    required = _requirements(PACKAGE)
    problems = {str(one): problem for one in required if (problem := _problem(one))}
    if problems:
        install = " ".join(f"'{one.name}{one.specifier}'" for one in required if str(one) in problems)
        yield Finding("error", "libraries", ", ".join(problems.values()), f"install them with: pip install {install}", 1)
    else:
        yield Finding("ok", "libraries", f"all {len(required)} there: " + ", ".join(f"{name} {version(name)}" for name in NAMED))
    if clashes := list(_clashes(required)):
        again = "install them again together, in a fresh virtual environment"
        yield Finding("warning", "library versions", ", ".join(clashes), again)
    for extra in metadata(PACKAGE).get_all("Provides-Extra") or []:
        if extra != FOR_DEVELOPERS:
            optional = _requirements(PACKAGE, extra)
            if lacking := [problem for one in optional if (problem := _problem(one))]:
                yield Finding("note", f"extra [{extra}]", ", ".join(lacking), f"to use it: pip install '{PACKAGE}[{extra}]'")
            else:
                yield Finding("ok", f"extra [{extra}]", f"installed: {', '.join(one.name for one in optional)}")


def _clashes(libraries: Sequence[Requirement]) -> Iterator[str]:
    """Where two of these libraries do not fit together, as a torchvision that was built for another torch."""
    names = {canonicalize_name(library.name) for library in libraries}
    for library in libraries:
        if _installed(library.name) is None:
            continue
        for required in _requirements(library.name):
            if canonicalize_name(required.name) in names and (problem := _problem(required)):
                yield f"{library.name} {version(library.name)} asks for {required}: {problem}"


def _requirements(package: str, extra: str | None = None) -> list[Requirement]:
    """What pip always installs for a package; with an extra, what it installs only for that."""
    every = [Requirement(text) for text in requires(package) or ()]
    always = [one for one in every if one.marker is None or one.marker.evaluate({"extra": ""})]
    if extra is None:
        return always
    return [one for one in every if one not in always and one.marker is not None and one.marker.evaluate({"extra": extra})]


def _problem(required: Requirement) -> str | None:
    """In what way a library is not as it is required; None if it is."""
    installed = _installed(required.name)
    if installed is None:
        return f"{required.name} is missing"
    fits = required.specifier.contains(installed, prereleases=True)
    return None if fits else f"{required.name} is {installed}, not {required.specifier}"


@cache
def _installed(name: str) -> str | None:
    """The version of a library; None if it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
