"""The error catalogue: what errors.py says of each class."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from cmirnet_cli.errors import CmirnetError

REMEDY = "What to do: "
_HEAD = """# Errors

A command that fails prints two lines on stderr. `error:` says what is wrong, with which value. `hint:` says what to do now; `-q` leaves it
out. With `--json`, the command prints one object on stdout instead. Its `error` has `kind` (the name in the first column), `message`,
`hint` and `exit_code`. `--traceback` adds the traceback. Exit code 0 means success.

In Python the same classes are raised, from `cmirnet_cli.errors`. An `except` for a class also catches the classes indented below it.
`make reference` writes this page from `errors.py`.

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
