"""`cmirnet benchmark text`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmirnet_cli.console import console

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.config import Settings
    from cmirnet_cli.engine.side_by_side import Spread, Timing

BERT_BASE = {"text.source": "scratch", "text.scratch_layers": 12, "text.scratch_heads": 12, "model.text_width": 768}
DATASET, SPLIT_BY = "scenes", "demo"
REFERENTS = 3
"""Of the image that is evaluated, where there are as many sentences."""


def text(
    backbone: Annotated[str | None, typer.Option("--backbone", metavar="NAME", help="swin-b, swin-l, resnet50, resnet101, …")] = None,
    size: Annotated[int | None, typer.Option("--size", min=64, metavar="PX", help="Network size, a multiple of 32; 480.")] = None,
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

    from cmirnet_cli.engine.side_by_side import side_by_side
    from cmirnet_cli.engine.start import starting_bundle
    from cmirnet_cli.engine.text_share import shares, ways_to_read

    settings = _settings(backbone, size, sentences)
    with TemporaryDirectory(prefix="cmirnet-benchmark-") as folder:
        cache = _drawn(Path(folder), settings)
        ways = ways_to_read(starting_bundle(settings, cache), settings, cache)
        with console.progress("time", rounds * len(ways)) as advance:
            timings = side_by_side(ways, sentences, rounds, advance=advance)
    _show(settings, timings, shares(timings))


def _settings(backbone: str | None, size: int | None, sentences: int) -> Settings:
    """The published recipe with a frozen text encoder, at one size, without a crop."""
    from cmirnet_cli.config import DataConfig, resolve

    side = size or DataConfig().image_size
    given = {"model.backbone": backbone, "data.image_size": side, "data.resize": side, "data.workers": 0, "loop.batch_size": sentences}
    return resolve(flags={**given, **BERT_BASE, "text.train": "none", "loop.backbone_weights": "none"})


def _drawn(folder: Path, settings: Settings) -> Cache:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.cache.schema import CacheOptions
    from cmirnet_cli.cache.writer import write_cache
    from cmirnet_cli.refer.scenes import Amount, write_scenes
    from cmirnet_cli.refer.sources import read_source

    sentences = settings.loop.batch_size
    amounts = {"train": Amount(sentences, sentences, sentences), "val": Amount(1, min(REFERENTS, sentences), sentences)}
    write_scenes(folder, dataset=DATASET, split_by=SPLIT_BY, images=amounts)
    write_cache(read_source(DATASET, SPLIT_BY, folder), folder / "cache", CacheOptions(sizes=(settings.data.image_size,)))
    return Cache.open(folder / "cache")


def _show(settings: Settings, timings: Mapping[str, Timing], found: Mapping[str, Mapping[str, Spread]]) -> None:
    from cmirnet_cli.engine.machine import machine, machine_in_words

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
