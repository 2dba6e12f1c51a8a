"""`cmirnet benchmark growth`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import Device, Overwrite, network_size

if TYPE_CHECKING:
    from cmirnet_cli.benchmarks.growth import Burden, GrowthAxis

Grown = tuple["GrowthAxis", list["Burden"]]
SIZES, COUNTS = [224, 320, 480, 640, 960], [1, 2, 4, 8]


def growth(
    backbone: Annotated[str, typer.Option("--backbone", metavar="NAME", help="Backbone of the random weights.")] = "swin-b",
    sizes: Annotated[list[int], network_size("--size", "Image sizes to measure; can be repeated.")] = SIZES,
    counts: Annotated[
        list[int], typer.Option("--count", min=1, metavar="N", help="Batch sizes, expressions and images to measure; can be repeated.")
    ] = COUNTS,
    base: Annotated[int, network_size("--base", "Image size while something else grows.")] = 480,
    rounds: Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="How often each is timed.")] = 3,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE.png", help="Also draw the result as a chart.")] = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Measure how time and memory of prediction grow with image size, batch, expressions about an image, and images.

    One of them grows at a time. Every load is measured in a process of its own, on random weights, in the forms that predict computes in.

    Example: cmirnet benchmark growth --backbone swin-t --plot growth.png
    """
    from cmirnet_cli.benchmarks.growth import Load, axes, burden
    from cmirnet_cli.engine.devices import pick_device
    from cmirnet_cli.engine.environment import in_fresh_process

    if plot:
        _require_place(plot, overwrite=overwrite)
    place = str(pick_device(device))
    measured = axes(sorted(sizes), sorted(counts), Load(size=base))
    loads = list(dict.fromkeys(load for axis in measured for load in axis.loads))
    found = {}
    with console.progress("measure", len(loads)) as advance:
        for load in loads:
            found[load] = in_fresh_process(burden, backbone, load, rounds, place)
            advance(1)
    grown = [(axis, [found[load] for load in axis.loads]) for axis in measured]
    _show(backbone, grown, base, place)
    if plot:
        _draw(grown, plot)


def _require_place(plot: Path, *, overwrite: bool) -> None:
    from cmirnet_cli.files import picture_format, require_free, require_writable

    picture_format(plot)
    require_free([plot], overwrite=overwrite)
    require_writable(plot.parent)


def _draw(grown: Sequence[Grown], target: Path) -> None:
    from cmirnet_cli.files import write_image
    from cmirnet_cli.reports.pictures.curves import growth_chart

    series = {
        axis.name: (axis.values, [each.milliseconds.median / 1000 for each in burdens], [each.memory_mib / 1024 for each in burdens])
        for axis, burdens in grown
    }
    write_image(target, growth_chart(series))


def _show(backbone: str, grown: Sequence[Grown], base: int, place: str) -> None:
    from cmirnet_cli.engine.environment import machine, machine_in_words

    columns = ["", "", "ms", "from", "to", "ms each", "peak MiB"]
    facts = {"backbone": backbone, "size": base, "device": place, "machine": machine()}
    console.result(
        {**facts, "grown": {axis.name: _measured(axis, burdens) for axis, burdens in grown}},
        console.table(f"{backbone}, random weights", columns, [row for axis, burdens in grown for row in _rows(axis, burdens)]),
        f"{base} px, one image, one expression, unless it grows; ms each: of one image with one expression",
        machine_in_words(),
    )


def _rows(axis: GrowthAxis, burdens: Sequence[Burden]) -> list[list[str]]:
    rows = []
    for value, load, cost in zip(axis.values, axis.loads, burdens, strict=True):
        took = cost.milliseconds
        each = took.median / (load.images * load.expressions)
        numbers = (took.median, took.lowest, took.highest, each, cost.memory_mib)
        rows.append([axis.name, str(value), *(f"{number:,.0f}" for number in numbers)])
    return rows


def _measured(axis: GrowthAxis, burdens: Sequence[Burden]) -> list[dict[str, Any]]:
    return [
        {axis.name: value, "ms": asdict(cost.milliseconds), "peak_memory_mib": cost.memory_mib}
        for value, cost in zip(axis.values, burdens, strict=True)
    ]
