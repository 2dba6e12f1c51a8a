"""What share of an evaluation and of a training step the text encoder takes: all that `cmirnet cache-features` can save.

python -m tools.measure.text --backbone swin-b --sentences 4
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer

from cmirnet_cli.batches.batch import normalise
from cmirnet_cli.batches.datasets import Collate, EvaluationSet, TrainingSet, training_batches
from cmirnet_cli.benchmarks.stand_ins import drawn_cache, random_recipe
from cmirnet_cli.benchmarks.timing import Spread, side_by_side
from cmirnet_cli.cache.features import TextFeatures
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.console import console
from cmirnet_cli.engine.devices import make_accelerator
from cmirnet_cli.engine.environment import machine, machine_in_words
from cmirnet_cli.engine.evaluation.loop import Evaluator, score_samples
from cmirnet_cli.engine.text_features import TextReader
from cmirnet_cli.engine.training.requirements import TRAIN_SPLIT, VALIDATION_SPLIT
from cmirnet_cli.engine.training.start import starting_bundle
from cmirnet_cli.engine.training.steps import Stepper
from cmirnet_cli.metrics.scores import PROTOCOLS
from cmirnet_cli.options import network_size
from cmirnet_cli.scenes import Amount
from cmirnet_cli.weights.bundle import Bundle

WHOLES = ("evaluation", "training step")
PARTS = ("text encoder", "its features, read", "image without words")
REFERENTS = 3
"""Of the image that is evaluated, where there are as many sentences."""

_CPU = torch.device("cpu")


def main(
    backbone: Annotated[str | None, typer.Option("--backbone", metavar="NAME", help="swin-b, swin-l, resnet50, resnet101, …")] = None,
    size: Annotated[int | None, network_size("--size", "Network size, a multiple of 32; by default 480.")] = None,
    sentences: Annotated[
        int, typer.Option("--sentences", min=1, max=9, metavar="N", help="About one image, and in a step; RefCOCO has 7 an image.")
    ] = 8,
    layers: Annotated[int, typer.Option("--layers", min=1, metavar="N", help="Of the text encoder; 12, as BERT base.")] = 12,
    width: Annotated[
        int, typer.Option("--width", min=64, metavar="N", help="Of the text encoder, in heads of 64; BERT base has 768.")
    ] = 768,
    rounds: Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="How often each is timed.")] = 3,
) -> None:
    """Time the text encoder beside an evaluation and a training step, on the CPU.

    Network and text encoder have random weights: times do not depend on them. The evaluation takes sentences about one drawn image; a
    training step takes as many, with an image each. 24 layers of 1024 channels are an encoder of 300 M parameters.
    """
    encoder = {"text.scratch_layers": layers, "text.scratch_heads": width // 64, "model.text_width": width}
    settings = random_recipe(backbone, size, sentences, **encoder, **{"text.train": "none"})
    amounts = {"train": Amount(sentences, sentences, sentences), "val": Amount(1, min(REFERENTS, sentences), sentences)}
    with TemporaryDirectory(prefix="cmirnet-measure-") as folder:
        cache = drawn_cache(Path(folder), settings.data.image_size, amounts)
        ways = ways_to_read(starting_bundle(settings, cache), settings, cache)
        with console.progress("time", rounds * len(ways)) as advance:
            timings = side_by_side(ways, sentences, rounds, advance=advance)
    shares = {whole: {part: timings[part].share_of(timings[whole]) for part in PARTS} for whole in WHOLES}
    took = {name: timing.milliseconds for name, timing in timings.items()}
    console.result(
        {
            "ms_per_sentence": {name: asdict(spread) for name, spread in took.items()},
            "percent_of": {whole: {part: asdict(share) for part, share in parts.items()} for whole, parts in shares.items()},
            "machine": machine(),
        },
        console.table(
            f"{settings.model.backbone} at {settings.data.image_size} px",
            ["", "ms a sentence", "from", "to", *(f"% of {whole}" for whole in WHOLES)],
            [_row(name, spread, [shares[whole].get(name) for whole in WHOLES]) for name, spread in took.items()],
        ),
        machine_in_words(),
    )


def ways_to_read(bundle: Bundle, settings: Settings, cache: Cache) -> dict[str, Callable[[], object]]:
    """By name: the two wholes, which run the frozen text encoder, and three parts of the evaluation.

    Args:
        bundle: a model whose text encoder is frozen.
        settings: the recipe it is trained by.
        cache: with as many sentences in a batch of train as in all of val; text features are written into it.
    """
    samples = EvaluationSet(cache, VALIDATION_SPLIT, settings.data.image_size)
    evaluated = [samples[item] for item in range(len(samples))]
    texts = [sentence.text for sample in evaluated for sentence in sample.sentences]
    images = [torch.from_numpy(sample.image).unsqueeze(0) for sample in evaluated]
    evaluator = Evaluator(bundle.model, bundle.tokenizer, settings.text.tokens, _CPU, len(texts))
    reader = TextReader(bundle.model.text, bundle.tokenizer, settings.text.tokens)
    sentences = cache.distinct_sentences()
    features = TextFeatures.write(cache, reader.spec("a measurement", "fp32"), reader.read(sentences, _CPU, len(sentences)))

    @torch.inference_mode()
    def encode_images() -> None:
        bundle.model.eval()
        for image in images:
            bundle.model.encode_image(normalise(image))

    return {
        "evaluation": lambda: score_samples(evaluator, samples, tuple(PROTOCOLS)),
        "training step": _step(bundle, settings, cache),
        "text encoder": lambda: list(reader.read(texts, _CPU, len(texts))),
        "its features, read": lambda: features.words(texts),
        "image without words": encode_images,
    }


def _step(bundle: Bundle, settings: Settings, cache: Cache) -> Callable[[], object]:
    """One step of training, always on the same batch."""
    samples = TrainingSet(cache, TRAIN_SPLIT, settings.data, seed=settings.loop.seed, epoch=0)
    batch = next(iter(training_batches(samples, Collate(bundle.tokenizer, settings.text.tokens), settings.loop.batch_size)))
    stepper = Stepper(bundle.model, settings, 1, make_accelerator(_CPU))

    def step() -> None:
        stepper.train()
        stepper.gradients([batch])
        stepper.update()

    return step


def _row(name: str, took: Spread, shares: list[Spread | None]) -> list[str]:
    times = [f"{value:,.1f}" for value in (took.median, took.lowest, took.highest)]
    return [name, *times, *(f"{share.median:.2f}" if share else "" for share in shares)]


if __name__ == "__main__":
    typer.run(main)
