"""The command reference: what each command's signature and docstring say."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from typer.models import ArgumentInfo, OptionInfo

from cmirnet_cli.app import COMMANDS, Command, with_common_options

_HEAD = """# Commands

This page is drawn from the code by `make reference`. `cmirnet COMMAND --help` shows the same; `cmirnet --install-completion` teaches the
shell to complete commands and options.

Options that every command has:

"""
_EXAMPLE = re.compile(r"^Example: (.*)$", re.MULTILINE)


def commands_page() -> str:
    """docs/commands.md."""
    return _HEAD + "\n".join(_common()) + "\n" + "".join(_section(name, command) for name, command in COMMANDS)


def _common() -> Iterator[str]:
    """Those of a command that has none of its own."""

    def command() -> None:
        pass

    yield from map(_line, inspect.signature(with_common_options(command)).parameters.values())


def _section(name: str, command: Command) -> str:
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    arguments = [one for one in parameters if isinstance(_info(one), ArgumentInfo)]
    options = [one for one in parameters if isinstance(_info(one), OptionInfo)]
    usage = " ".join(["cmirnet", name, *(_argument(one) for one in arguments), *(["[OPTIONS]"] if options else [])])
    lines = "".join(f"{_line(one)}\n" for one in (*arguments, *options))
    return f"\n## {name}\n\n    {usage}\n\n{_text(command)}\n" + (f"\n{lines}" if lines else "")


def _text(command: Command) -> str:
    """The docstring, its example as a block of code."""
    return _EXAMPLE.sub(r"    \1", inspect.getdoc(command) or "").strip("\n")


def _argument(parameter: inspect.Parameter) -> str:
    """Such as `INPUT…`, in brackets where it may be left out."""
    name = (_info(parameter).metavar or parameter.name.upper()).strip("[].…") + ("…" if "list" in str(parameter.annotation) else "")
    return name if parameter.default is inspect.Parameter.empty else f"[{name}]"


def _line(parameter: inspect.Parameter) -> str:
    return f"- `{_named(parameter)}`: {_info(parameter).help}{_default(parameter)}"


def _named(parameter: inspect.Parameter) -> str:
    """As it is typed, such as `--size PX`."""
    info = _info(parameter)
    if isinstance(info, ArgumentInfo):
        return _argument(parameter)
    names = [name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str)]
    value = info.metavar or _choices(get_args(parameter.annotation)[0])
    return f"{', '.join(names)} {value}".rstrip()


def _choices(kind: Any) -> str:
    """The values of a Literal or an Enum, also of one that may be None or be repeated; nothing for a flag."""
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return next(filter(None, map(_choices, get_args(kind))), "")


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    return "" if value is None or isinstance(value, (bool, type)) else f" Default: `{value}`."


def _info(parameter: inspect.Parameter) -> ArgumentInfo | OptionInfo:
    found: ArgumentInfo | OptionInfo = get_args(parameter.annotation)[1]
    return found
