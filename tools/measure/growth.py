"""How time and memory of prediction grow: with the size of the images, the batch, the expressions about an image, the images.

python -m tools.measure.growth --count 1 --count 2 --count 4 --rounds 2 --plot growth.png
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image

from cmirnet_cli.batches.batch import normalise, tokenise
from cmirnet_cli.benchmarks.stand_ins import random_bundle
from cmirnet_cli.benchmarks.timing import Spread, side_by_side
from cmirnet_cli.console import console
from cmirnet_cli.engine.devices import most_held_mib, pick_device
from cmirnet_cli.engine.environment import in_fresh_process, machine, machine_in_words
from cmirnet_cli.engine.inference import Inference
from cmirnet_cli.files import picture_format, write_image
from cmirnet_cli.files.checks import require_free, require_writable
from cmirnet_cli.images.palette import BLUE, VERMILION
from cmirnet_cli.options import Device, Overwrite, network_size
from cmirnet_cli.reports.pictures.curves import Curve, draw_chart, lay_out

SIZES, COUNTS = [224, 320, 480, 640, 960], [1, 2, 4, 8]
EXPRESSION = "the large red circle"


@dataclass(frozen=True)
class Load:
    """What a model predicts in one go: `images` in batches of `batch`, `size` pixels wide and high, `expressions` about each."""

    size: int = 480
    batch: int = 1
    expressions: int = 1
    images: int = 1


@dataclass(frozen=True)
class LoadCost:
    """Milliseconds of a whole load, and the most memory that its process held, in MiB."""

    milliseconds: Spread
    memory_mib: float


def main(
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
    """
    if plot:
        picture_format(plot)
        require_free([plot], overwrite=overwrite)
        require_writable(plot.parent)
    place = str(pick_device(device))
    axes = loads_by_axis(sorted(sizes), sorted(counts), Load(size=base))
    loads = dict.fromkeys(load for axis in axes.values() for load in axis)
    costs = {}
    with console.progress("measure", len(loads)) as advance:
        for load in loads:
            costs[load] = in_fresh_process(cost_of_load, backbone, load, rounds, place)
            advance()
    grown = {axis: {getattr(load, axis): costs[load] for load in loads} for axis, loads in axes.items()}
    columns = ["", "", "ms", "from", "to", "ms each", "peak MiB"]
    console.result(
        {"backbone": backbone, "device": place, "machine": machine(), "grown": _plain(grown)},
        console.table(f"{backbone}, random weights", columns, [_row(axis, load, costs[load]) for axis in axes for load in axes[axis]]),
        f"{base} px, one image, one expression, unless it grows; ms each: of one image with one expression",
        machine_in_words(),
    )
    if plot:
        write_image(plot, chart(grown))


def loads_by_axis(sizes: Sequence[int], counts: Sequence[int], base: Load) -> dict[str, list[Load]]:
    """The number that grows → its loads; the other numbers are those of `base`."""
    return {
        "size": [replace(base, size=size) for size in sizes],
        "batch": [replace(base, batch=count, images=count) for count in counts],
        "expressions": [replace(base, expressions=count) for count in counts],
        "images": [replace(base, images=count) for count in counts],
    }


def cost_of_load(backbone: str, load: Load, rounds: int, device: str) -> LoadCost:
    """Measure a load with random weights, in the forms that `predict` computes in; to be called in a fresh process."""
    place = pick_device(device)
    bundle = Inference().prepare(random_bundle(backbone, load.size, [EXPRESSION]), place)
    model = bundle.model
    tokens = tokenise(bundle.tokenizer, [EXPRESSION] * load.batch * load.expressions, bundle.config.tokens).to(place)
    images = torch.randint(256, (load.batch, load.size, load.size, 3), dtype=torch.uint8, device=place)

    @torch.inference_mode()
    def predict() -> None:
        for _ in range(0, load.images, load.batch):
            words = model.encode_text(tokens.ids, tokens.keep)
            features = model.encode_image(normalise(images))
            rows = features.repeat(len(words)) if load.batch == 1 else features
            logits = model.decode(rows, words, tokens.keep, auxiliary=False).main
            (logits[:, 1] > logits[:, 0]).cpu()

    predict()
    return LoadCost(side_by_side({"predict": predict}, 1, rounds)["predict"].milliseconds, most_held_mib(place))


def chart(grown: Mapping[str, Mapping[int, LoadCost]]) -> Image.Image:
    """A row of charts of time, and one of memory below it."""
    times, memory = [], []
    for axis, costs in grown.items():
        seconds = [cost.milliseconds.median / 1000 for cost in costs.values()]
        gib = [cost.memory_mib / 1024 for cost in costs.values()]
        times.append(draw_chart("Seconds", list(costs), [Curve("seconds", BLUE, seconds)], axis))
        memory.append(draw_chart("Peak memory, GiB", list(costs), [Curve("GiB", VERMILION, gib)], axis))
    return lay_out([times, memory])


def _row(axis: str, load: Load, cost: LoadCost) -> list[str]:
    took = cost.milliseconds
    each = took.median / (load.images * load.expressions)
    numbers = (took.median, took.lowest, took.highest, each, cost.memory_mib)
    return [axis, str(getattr(load, axis)), *(f"{number:,.0f}" for number in numbers)]


def _plain(grown: Mapping[str, Mapping[int, LoadCost]]) -> dict[str, list[dict[str, object]]]:
    return {
        axis: [{axis: value, "ms": asdict(cost.milliseconds), "peak_memory_mib": cost.memory_mib} for value, cost in costs.items()]
        for axis, costs in grown.items()
    }


if __name__ == "__main__":
    typer.run(main)
