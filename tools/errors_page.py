"""The error catalogue: what errors.py says of each class."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from cmirnet_cli.errors import CmirnetError

REMEDY = "What to do: "
_HEAD = """# Errors

This page is drawn from `errors.py` by `make reference`. A command that fails prints `error:` with what is wrong and with which value, and
`hint:` with what to do now, on stderr; with `--json` it prints one object on stdout, whose `error` has `kind` (the name in the first
column), `message`, `hint` and `exit_code`. No traceback is shown unless `--traceback` asks for it. In Python the same classes are raised,
from `cmirnet_cli.errors`; those further in are also caught by the one they stand under. Exit code 0 means that all went well. With `-q` the
hint is left out.

| error | exit code | when | what to do |
|---|---|---|---|
"""


def errors_page() -> str:
    """docs/errors.md."""
    page = _HEAD
    for kind, depth in family(CmirnetError):
        when, *rest = [" ".join(part.split()) for part in (inspect.getdoc(kind) or "").split("\n\n")]
        remedy = next(part.removeprefix(REMEDY) for part in rest if part.startswith(REMEDY))
        page += f"| {'&emsp;' * depth}`{kind.__name__}` | {kind.exit_code} | {when} | {remedy[0].upper()}{remedy[1:]} |\n"
    return page


def family(kind: type[CmirnetError], depth: int = 0) -> Iterator[tuple[type[CmirnetError], int]]:
    """An error and all that are kinds of it, with how deep each stands, in the order in which they are written."""
    yield kind, depth
    for child in kind.__subclasses__():
        yield from family(child, depth + 1)
