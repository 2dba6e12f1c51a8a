"""What `cmirnet presets ls` prints: one row a preset, about its purpose or its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import Overwrite

if TYPE_CHECKING:
    from rich.table import Table

    from cmirnet_cli.benchmarks.cost import Cost, Subject
    from cmirnet_cli.benchmarks.timing import Spread
    from cmirnet_cli.config import Preset

COLUMNS = ["px", "network, M parameters", "text encoder", "network, GFLOPs", "text encoder"]
COUNTED = "GFLOPs: convolutions and matrix products, a multiply-add being two; without the heads that only training computes"
TIMED = "ms: text encoder and network in fp32 with random weights, the plain way, on"


@dataclass(frozen=True)
class _PresetCost:
    """What one image with one sentence costs a model; `took` where it was timed."""

    subject: Subject
    cost: Cost
    took: Spread | None

    @classmethod
    def of(cls, subject: Subject, *, timed: bool) -> _PresetCost:
        from cmirnet_cli.benchmarks.cost import cost_of, time_of

        return cls(subject, cost_of(subject), time_of(subject) if timed else None)

    @property
    def cells(self) -> list[str]:
        parts = (self.cost.network, self.cost.text)
        parameters, gflops = [part.parameters / 1e6 for part in parts], [part.gflops for part in parts]
        counted = [str(self.subject.image_size), *(f"{value:,.1f}" for value in (*parameters, *gflops))]
        return [*counted, f"{self.took.median:,.0f}"] if self.took else counted

    @property
    def described(self) -> dict[str, object]:
        inputs = {"image_size": self.subject.image_size, "tokens": self.subject.text.tokens}
        return inputs | asdict(self.cost) | ({"milliseconds": asdict(self.took)} if self.took else {})


def header(preset: Preset) -> dict[str, object]:
    """What a preset says about itself, as plain data."""
    return {"name": preset.name, "purpose": preset.purpose, "data": preset.data, "command": preset.command}


def preset_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of presets with these columns after the name, which is the first cell of a row; a line wherever other data begin."""
    table = console.table(None, ["preset", *columns], rows)
    for row, (name, *_), (following, *_) in zip(table.rows, rows, rows[1:], strict=False):
        row.end_section = _data(name) != _data(following)
    return table


def show_costs(presets: Sequence[Preset], *, timed: bool) -> None:
    """Print parameters and arithmetic, and the time where that is asked for; what presets share is measured once."""
    from cmirnet_cli.benchmarks.cost import Subject
    from cmirnet_cli.config import resolve
    from cmirnet_cli.engine.environment import machine, machine_in_words

    subjects = [Subject.of(resolve(preset.name)) for preset in presets]
    found = _measured(list(dict.fromkeys(subjects)), timed=timed)
    costs = [(preset, found[subject]) for preset, subject in zip(presets, subjects, strict=True)]
    console.result(
        {"presets": [header(preset) | {"cost": cost.described} for preset, cost in costs]} | ({"machine": machine()} if timed else {}),
        preset_table([*COLUMNS, "ms"] if timed else COLUMNS, [[preset.name, *cost.cells] for preset, cost in costs]),
        COUNTED,
        *([f"{TIMED} {machine_in_words()}"] if timed else []),
    )


def _measured(subjects: Sequence[Subject], *, timed: bool) -> dict[Subject, _PresetCost]:
    found: dict[Subject, _PresetCost] = {}
    with console.progress("measure" if timed else "count", len(subjects)) as advance:
        for subject in subjects:
            found[subject] = _PresetCost.of(subject, timed=timed)
            advance()
    return found


def _data(name: str) -> str:
    """The part of a preset's name that says which data it is for."""
    return name.partition("-")[0]


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
