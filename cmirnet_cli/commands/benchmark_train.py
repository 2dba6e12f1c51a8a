"""`cmirnet benchmark train`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import Device, network_size

if TYPE_CHECKING:
    from cmirnet_cli.benchmarks.train import FirstSteps, TrainingComparison


def train(
    backbone: Annotated[str | None, typer.Option("--backbone", metavar="NAME", help="swin-b, resnet50, …, or timm/NAME.")] = None,
    size: Annotated[int | None, network_size("--size", "Network size, a multiple of 32; by default 480.")] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, metavar="N", help="Sentences of one step.")] = 2,
    steps: Annotated[int, typer.Option("--steps", min=2, metavar="N", help="Optimiser steps in each way; the first is not timed.")] = 4,
    device: Device = "auto",
) -> None:
    """Take the first steps of training in the plain way and in others: time, memory, ratio, how much the losses differ.

    Plain is the published step, in fp16 on a GPU and in fp32 on a CPU. The others: bf16, on a GPU also compiled (loop.compile),
    activations computed twice (loop.gradient_checkpointing), and a text encoder that is not trained. Each way trains the same random
    weights on the same drawn scenes, in a process of its own.

    Example: cmirnet benchmark train --backbone resnet50 --size 320
    """
    from cmirnet_cli.config import resolve

    resolve(flags={"model.backbone": backbone, "data.image_size": size})  # refuses an unknown backbone before torch is loaded

    from cmirnet_cli.benchmarks.train import compare_training

    _show(compare_training(backbone, size, batch_size, steps, device, console.progress), steps)


def _show(comparison: TrainingComparison, steps: int) -> None:
    from cmirnet_cli.benchmarks.train import PLAIN
    from cmirnet_cli.engine.environment import machine, machine_in_words

    settings = comparison.settings
    backbone, size, batch = settings.model.backbone, settings.data.image_size, settings.loop.batch_size
    ways = {name: _described(way, comparison.ways[PLAIN]) for name, way in comparison.ways.items()}
    columns = ["way", "ms a sentence", "from", "to", "sentences/s", "× plain", "peak MiB", "last loss", "losses within"]
    facts = {"backbone": backbone, "size": size, "batch_size": batch, "steps": steps, "device": comparison.device}
    console.result(
        {**facts, "machine": machine(), "ways": ways},
        console.table(f"training {backbone} at {size} px", columns, [_row(name, way) for name, way in ways.items()]),
        f"{steps} steps of {batch} sentences on {comparison.device}, the first not timed; "
        "losses within: the largest difference from the plain way at any step",
        machine_in_words(),
    )


def _described(way: FirstSteps, plain: FirstSteps) -> dict[str, Any]:
    return {
        "ms_per_sentence": asdict(way.timing.milliseconds),
        "sentences_per_second": way.timing.per_second,
        "times_faster_than_plain": way.timing.per_second / plain.timing.per_second,
        "peak_memory_mib": way.memory_mib,
        "losses": way.losses,
        "losses_within": way.away_from(plain),
    }


def _row(name: str, way: dict[str, Any]) -> list[str]:
    return [
        name,
        *(f"{way['ms_per_sentence'][key]:,.0f}" for key in ("median", "lowest", "highest")),
        f"{way['sentences_per_second']:.3g}",
        f"{way['times_faster_than_plain']:.2f}",
        f"{way['peak_memory_mib']:,.0f}",
        f"{way['losses'][-1]:.4f}",
        f"{way['losses_within']:.2%}",
    ]
