"""How fast a split is scored beside the published loop: one image and one sentence a forward, every head, fp32.

python -m tools.measure.evaluation --images 4 --sentences 4
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer

from cmirnet_cli.batches.batch import normalise, tokenise
from cmirnet_cli.batches.datasets import EvaluationSet
from cmirnet_cli.benchmarks.stand_ins import drawn_cache, random_bundle
from cmirnet_cli.benchmarks.timing import side_by_side
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.console import console
from cmirnet_cli.engine.devices import pick_device
from cmirnet_cli.engine.environment import machine, machine_in_words
from cmirnet_cli.engine.evaluation.loop import Evaluator, score_samples
from cmirnet_cli.engine.inference import AS_PUBLISHED, Inference
from cmirnet_cli.options import network_size
from cmirnet_cli.scenes import Amount
from cmirnet_cli.weights.bundle import Bundle

PUBLISHED, OURS = "published loop", "ours"


def main(
    backbone: Annotated[str, typer.Option("--backbone", metavar="NAME", help="Of the random weights.")] = "swin-b",
    size: Annotated[int | None, network_size("--size", "Network size, a multiple of 32; by default 480.")] = None,
    images: Annotated[int, typer.Option("--images", min=1, metavar="N", help="Of the split.")] = 4,
    sentences: Annotated[int, typer.Option("--sentences", min=1, max=9, metavar="N", help="About each image.")] = 4,
    rounds: Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="How often each is timed.")] = 3,
    device: Annotated[str, typer.Option("--device", help="Where to compute.")] = "cpu",
) -> None:
    """Time both on the same drawn split, protocol `paper`, and compare what they count."""
    place, total = pick_device(device), images * sentences
    with TemporaryDirectory(prefix="cmirnet-measure-") as folder:
        amounts = {"train": Amount(1, 1, 1), "val": Amount(images, images * -(-sentences // 3), total)}
        bundle = random_bundle(backbone, size, ["the red circle"])
        cache = drawn_cache(Path(folder), bundle.config.image_size, amounts)
        ways = {
            PUBLISHED: published(_copy(bundle, AS_PUBLISHED, place), cache, place),
            OURS: ours(_copy(bundle, Inference(), place), cache, place),
        }
        counted = {name: way() for name, way in ways.items()}
        with console.progress("time", rounds * len(ways)) as advance:
            timings = side_by_side(ways, total, rounds, advance=advance)
    faster = timings[OURS].times_faster_than(timings[PUBLISHED])
    equal = sum(abs(a - b) <= 0.001 for a, b in zip(counted[PUBLISHED], counted[OURS], strict=True))
    console.result(
        {
            "images": images,
            "sentences": total,
            "ms_per_sentence": {name: asdict(timing.milliseconds) for name, timing in timings.items()},
            "times_faster": asdict(faster),
            "equal_ious": equal,
            "machine": machine(),
        },
        f"{backbone}, {images} images, {total} sentences: "
        f"{faster.median:.2f} times the published loop ({faster.lowest:.2f} to {faster.highest:.2f})",
        f"{equal} of {total} IoUs agree within 0.001",
        machine_in_words(),
    )


def _copy(bundle: Bundle, inference: Inference, device: torch.device) -> Bundle:
    return inference.prepare(Bundle(deepcopy(bundle.model), bundle.tokenizer, bundle.config), device)


def published(bundle: Bundle, cache: Cache, device: torch.device) -> Callable[[], list[float]]:
    """The IoU of every sentence, each with its image through the whole network."""
    samples = EvaluationSet(cache, "val", bundle.config.image_size)

    @torch.inference_mode()
    def score() -> list[float]:
        ious = []
        for item in range(len(samples)):
            sample = samples[item]
            for sentence in sample.sentences:
                image = normalise(torch.from_numpy(sample.image).unsqueeze(0).to(device))
                tokens = tokenise(bundle.tokenizer, [sentence.text], bundle.config.tokens).to(device)
                mask = bundle.model(image, tokens.ids, tokens.keep).main.argmax(1)[0].bool()
                target = torch.from_numpy(sentence.target).to(device).bool()
                union = int((mask | target).sum())
                ious.append(int((mask & target).sum()) / union if union else 0.0)
        return ious

    return score


def ours(bundle: Bundle, cache: Cache, device: torch.device) -> Callable[[], list[float]]:
    """The same as `cmirnet eval` has it."""
    evaluator = Evaluator(bundle.model, bundle.tokenizer, bundle.config.tokens, device)
    samples = EvaluationSet(cache, "val", bundle.config.image_size)
    return lambda: [score.overlaps["paper"].iou for score in score_samples(evaluator, samples, ["paper"])]


if __name__ == "__main__":
    typer.run(main)
