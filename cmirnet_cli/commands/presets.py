"""Look at the settings of whole experiments, and copy them to make one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import Overwrite

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="A preset, as `cmirnet presets ls` names it.", show_default=False)]


def ls() -> None:
    """List the presets with what each is for."""
    from cmirnet_cli.config import load_preset, preset_names

    presets = [load_preset(name) for name in preset_names()]
    described = [{"name": each.name, "purpose": each.purpose, "data": each.data, "command": each.command} for each in presets]
    table = console.table(None, ["preset", "purpose"], [(each.name, each.purpose) for each in presets])
    for row, each, following in zip(table.rows, presets, presets[1:], strict=False):
        row.end_section = _subject(each.name) != _subject(following.name)
    console.result({"presets": described}, table)


def _subject(name: str) -> str:
    """The part of a preset's name that says which data it is for."""
    return name.partition("-")[0]


def show(name: Name) -> None:
    """Print a preset's file."""
    from cmirnet_cli.config import load_preset

    preset = load_preset(name)
    console.result({"name": preset.name, "text": preset.text}, preset.text.rstrip())


def cp(
    name: Name,
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="File or folder to copy to.")] = Path(),
    overwrite: Overwrite = False,
) -> None:
    """Copy a preset to a file of one's own, for `cmirnet train --preset FILE`."""
    from cmirnet_cli.config import copy_preset

    target = copy_preset(name, destination, overwrite)
    console.result({"file": target}, str(target))
    console.notice(f"use it with: cmirnet train --preset {target}")
