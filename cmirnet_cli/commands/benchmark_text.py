"""`cmirnet benchmark text`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import network_size

if TYPE_CHECKING:
    from cmirnet_cli.benchmarks.timing import Spread, Timing
    from cmirnet_cli.config import Settings

REFERENTS = 3
"""Of the image that is evaluated, where there are as many sentences."""


def text(
    backbone: Annotated[str | None, typer.Option("--backbone", metavar="NAME", help="swin-b, swin-l, resnet50, resnet101, …")] = None,
    size: Annotated[int | None, network_size("--size", "Network size, a multiple of 32; 480.")] = None,
    sentences: Annotated[
        int, typer.Option("--sentences", min=1, max=9, metavar="N", help="About one image, and in a step; RefCOCO has 7 an image.")
    ] = 8,
    rounds: Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="How often each is timed.")] = 3,
) -> None:
    """Time the text encoder beside an evaluation and a training step: what cache-features can save.

    Network and text encoder, one of the size of BERT base, have random weights: times do not depend on them. Evaluated are sentences about
    one drawn image; a training step takes as many, with an image each. All of it runs on the CPU.

    Example: cmirnet benchmark text --backbone resnet50
    """
    from tempfile import TemporaryDirectory

    from cmirnet_cli.benchmarks.stand_ins import drawn_cache, recipe
    from cmirnet_cli.benchmarks.text import shares, ways_to_read
    from cmirnet_cli.benchmarks.timing import side_by_side
    from cmirnet_cli.engine.training.start import starting_bundle
    from cmirnet_cli.scenes import Amount

    settings = recipe(backbone, size, sentences, **{"text.train": "none"})
    amounts = {"train": Amount(sentences, sentences, sentences), "val": Amount(1, min(REFERENTS, sentences), sentences)}
    with TemporaryDirectory(prefix="cmirnet-benchmark-") as folder:
        cache = drawn_cache(Path(folder), settings.data.image_size, amounts)
        ways = ways_to_read(starting_bundle(settings, cache), settings, cache)
        with console.progress("time", rounds * len(ways)) as advance:
            timings = side_by_side(ways, sentences, rounds, advance=advance)
    _show(settings, timings, shares(timings))


def _show(settings: Settings, timings: Mapping[str, Timing], found: Mapping[str, Mapping[str, Spread]]) -> None:
    from cmirnet_cli.engine.environment import machine, machine_in_words

    columns = ["", "ms a sentence", "from", "to", *(f"% of {whole}" for whole in found)]
    title = f"{settings.model.backbone} at {settings.data.image_size} px"
    console.result(
        {
            "backbone": settings.model.backbone,
            "size": settings.data.image_size,
            "sentences": settings.loop.batch_size,
            "ms_per_sentence": {name: asdict(timing.milliseconds) for name, timing in timings.items()},
            "percent_of": {whole: {part: asdict(share) for part, share in parts.items()} for whole, parts in found.items()},
            "machine": machine(),
        },
        console.table(title, columns, [_row(name, timings, found) for name in timings]),
        machine_in_words(),
    )


def _row(name: str, timings: Mapping[str, Timing], found: Mapping[str, Mapping[str, Spread]]) -> list[str]:
    took = timings[name].milliseconds
    part_of = [f"{parts[name].median:.2f}" if name in parts else "" for parts in found.values()]
    return [name, *(f"{value:,.1f}" for value in (took.median, took.lowest, took.highest)), *part_of]
