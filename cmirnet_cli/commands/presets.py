"""`cmirnet presets ls`, `show` and `cp`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cmirnet_cli.commands.presets_tables import header, preset_table, show_costs
from cmirnet_cli.console import console
from cmirnet_cli.options import Overwrite

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="A preset, as `cmirnet presets ls` names it.", show_default=False)]


def ls(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Presets to list; left out: all.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Show parameters and arithmetic of one image with one sentence.")] = False,
    time: Annotated[bool, typer.Option("--time", help="Show the cost and measure it on this CPU: seconds to a minute a network.")] = False,
) -> None:
    """List the presets with what each is for, or with what its model costs.

    Example: cmirnet presets ls --cost
    """
    from cmirnet_cli.config import load_preset, preset_names

    presets = [load_preset(name) for name in names or preset_names()]
    if cost or time:
        show_costs(presets, timed=time)
    else:
        table = preset_table(["purpose"], [(each.name, each.purpose) for each in presets])
        console.result({"presets": [header(each) for each in presets]}, table)


def show(name: Name) -> None:
    """Print a preset's file.

    Example: cmirnet presets show refcoco-swin-b
    """
    from cmirnet_cli.config import load_preset

    preset = load_preset(name)
    console.result({"name": preset.name, "text": preset.text}, preset.text.rstrip())


def cp(
    name: Name,
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="File or folder to copy to.")] = Path(),
    overwrite: Overwrite = False,
) -> None:
    """Copy a preset to a file of one's own, for `cmirnet train --preset FILE`.

    Example: cmirnet presets cp refcoco-swin-b my.yaml
    """
    from cmirnet_cli.config import copy_preset

    target = copy_preset(name, destination, overwrite)
    console.result({"file": target}, str(target))
    console.notice(f"use it with: cmirnet train --preset {target}")
