"""`cmirnet benchmark train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import Device, network_size

if TYPE_CHECKING:
    from cmirnet_cli.benchmarks.train import Steps
    from cmirnet_cli.config import Settings


def train(
    backbone: Annotated[str | None, typer.Option("--backbone", metavar="NAME", help="swin-b, swin-l, resnet50, resnet101, …")] = None,
    size: Annotated[int | None, network_size("--size", "Network size, a multiple of 32; 480.")] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, metavar="N", help="Sentences of one step.")] = 2,
    steps: Annotated[int, typer.Option("--steps", min=2, metavar="N", help="Of the optimiser, in each way; the first is not timed.")] = 4,
    device: Device = "auto",
) -> None:
    """Take the first steps of training in the plain way and in others: time, memory, ratio, how far the losses are apart.

    Plain is the published step, in fp16 on a GPU and in fp32 on a CPU. The others: bf16, on a GPU also compiled (loop.compile),
    activations computed twice (loop.gradient_checkpointing), and a text encoder that is not trained. Each way trains the same random
    weights on the same drawn scenes, in a process of its own.

    Example: cmirnet benchmark train --backbone resnet50 --size 320
    """
    from tempfile import TemporaryDirectory

    from cmirnet_cli.benchmarks.stand_ins import drawn_cache, recipe
    from cmirnet_cli.benchmarks.train import first_steps, ways_on
    from cmirnet_cli.engine.devices import pick_device
    from cmirnet_cli.engine.environment import in_fresh_process
    from cmirnet_cli.scenes import Amount

    place = pick_device(device)
    recipes = {name: recipe(backbone, size, batch_size, **changes) for name, changes in ways_on(place).items()}
    amount, one = Amount(*[steps * batch_size] * 3), Amount(1, 1, 1)
    with TemporaryDirectory(prefix="cmirnet-benchmark-") as folder, console.progress("train", len(recipes)) as advance:
        cache = drawn_cache(Path(folder), next(iter(recipes.values())).data.image_size, {"train": amount, "val": one})
        found = {}
        for name, settings in recipes.items():
            found[name] = in_fresh_process(first_steps, settings, cache.folder, steps, str(place))
            advance(1)
    _show(next(iter(recipes.values())), found, str(place))


def _show(settings: Settings, found: Mapping[str, Steps], place: str) -> None:
    from cmirnet_cli.engine.environment import machine, machine_in_words

    columns = ["way", "ms a sentence", "from", "to", "sentences/s", "× plain", "peak MiB", "last loss", "losses within"]
    title = f"training {settings.model.backbone} at {settings.data.image_size} px"
    batch = settings.loop.batch_size
    steps = len(next(iter(found.values())).losses)
    facts = {"backbone": settings.model.backbone, "size": settings.data.image_size, "batch_size": batch, "steps": steps, "device": place}
    console.result(
        {**facts, "machine": machine(), "ways": {name: _measured(name, found) for name in found}},
        console.table(title, columns, [_row(name, found) for name in found]),
        f"{steps} steps of {batch} sentences on {place}, the first not timed; losses within: of the plain way's, at the worst step",
        machine_in_words(),
    )


def _row(name: str, found: Mapping[str, Steps]) -> list[str]:
    told = _measured(name, found)
    took, losses = told["ms_per_sentence"], told["losses"]
    speed = [f"{took[key]:,.0f}" for key in ("median", "lowest", "highest")] + [f"{told['sentences_per_second']:.3g}"]
    ratio = f"{told['times_faster_than_plain']:.2f}"
    return [name, *speed, ratio, f"{told['peak_memory_mib']:,.0f}", f"{losses[-1]:.4f}", f"{told['losses_within']:.2%}"]


def _measured(name: str, found: Mapping[str, Steps]) -> dict[str, Any]:
    from cmirnet_cli.benchmarks.train import PLAIN

    steps, plain = found[name], found[PLAIN]
    return {
        "ms_per_sentence": asdict(steps.timing.milliseconds),
        "sentences_per_second": steps.timing.per_second,
        "times_faster_than_plain": steps.timing.per_second / plain.timing.per_second,
        "peak_memory_mib": steps.memory_mib,
        "losses": steps.losses,
        "losses_within": steps.away_from(plain),
    }
