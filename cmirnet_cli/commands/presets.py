"""`cmirnet presets`: ls, show, cp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import Overwrite

if TYPE_CHECKING:
    from cmirnet_cli.config import Preset

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="A preset, as `cmirnet presets ls` names it.", show_default=False)]

COST_COLUMNS = ["px", "network, M parameters", "text encoder", "network, GFLOPs", "text encoder"]
COUNTED = "GFLOPs count convolutions and matrix products, a multiply-add as two; heads that only training computes are left out"


def ls(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME|FILE]...", help="Presets to list; left out: all.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Show parameters and arithmetic of one image with one sentence.")] = False,
    time: Annotated[bool, typer.Option("--time", help="Show the cost and time it on this CPU: seconds to a minute per network.")] = False,
) -> None:
    """List the presets with what each is, or with what its model costs.

    Example: cmirnet presets ls --cost
    """
    from cmirnet_cli.config import load_preset, preset_names

    presets = [load_preset(name) for name in names or preset_names()]
    if cost or time:
        _show_costs(presets, timed=time)
    else:
        table = console.table(None, ["preset", "in short"], [(preset.name, preset.short) for preset in presets])
        console.result({"presets": [_header(preset) for preset in presets]}, table)
        console.notice("to see one in full: cmirnet presets show NAME")


def show(name: Name) -> None:
    """Print the whole recipe of a preset: every setting, defaults included.

    Example: cmirnet presets show refcoco-swin-b
    """
    from cmirnet_cli.config import load_preset, resolve, to_yaml

    preset, settings = load_preset(name), resolve(name)
    heading = "".join(f"{line}\n" for line in preset.text.splitlines() if line.startswith("#"))
    data = {**_header(preset), "text": preset.text, "settings": settings.model_dump(mode="json")}
    console.result(data, heading + to_yaml(settings).rstrip())


def cp(
    name: Name,
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="File or folder to copy to.")] = Path(),
    overwrite: Overwrite = False,
) -> None:
    """Copy a preset to a file of your own, for `cmirnet train --preset FILE`.

    Example: cmirnet presets cp refcoco-swin-b my.yaml
    """
    from cmirnet_cli.config import copy_preset

    target = copy_preset(name, destination, overwrite)
    console.result({"file": target}, str(target))
    console.notice(f"use it with: cmirnet train --preset {target}")


def _show_costs(presets: Sequence[Preset], *, timed: bool) -> None:
    from cmirnet_cli.benchmarks.cost import costs_of
    from cmirnet_cli.config import resolve
    from cmirnet_cli.engine.environment import machine, machine_in_words

    costs = costs_of([resolve(preset.name) for preset in presets], timed=timed, progress=console.progress)
    described, rows = [], []
    for preset, cost in zip(presets, costs, strict=True):
        parts = (cost.network, cost.text)
        millions, gflops = [part.parameters / 1e6 for part in parts], [part.gflops for part in parts]
        took = [f"{cost.milliseconds.median:,.0f}"] if cost.milliseconds else []
        rows.append([preset.name, str(cost.image_size), *(f"{value:,.1f}" for value in (*millions, *gflops)), *took])
        described.append(_header(preset) | {"cost": {key: value for key, value in asdict(cost).items() if value is not None}})
    timing = f"ms: text encoder and network in fp32 with random weights, the plain way, on {machine_in_words()}"
    console.result(
        {"presets": described} | ({"machine": machine()} if timed else {}),
        console.table(None, ["preset", *COST_COLUMNS, *(["ms"] if timed else [])], rows),
        COUNTED,
        *([timing] if timed else []),
    )


def _header(preset: Preset) -> dict[str, object]:
    """What a preset says about itself, as plain data."""
    return {"name": preset.name, "short": preset.short, "purpose": preset.purpose, "data": preset.data, "command": preset.command}
