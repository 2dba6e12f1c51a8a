"""What the text encoder takes of an evaluation and of a training step: all that text features can save. On the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from cmirnet_cli.batches.batch import normalise
from cmirnet_cli.batches.datasets import Collate, EvaluationSet, TrainingSet, training_batches
from cmirnet_cli.benchmarks.timing import Spread, Timing
from cmirnet_cli.cache.features import TextFacts
from cmirnet_cli.cache.features_reader import TextFeatures
from cmirnet_cli.cache.features_writer import write_features
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.devices import make_accelerator
from cmirnet_cli.engine.evaluation.loop import Evaluator, evaluate
from cmirnet_cli.engine.text_features import TextReader
from cmirnet_cli.engine.training.requirements import TRAIN_SPLIT, VALIDATION_SPLIT
from cmirnet_cli.engine.training.steps import Stepper
from cmirnet_cli.metrics.scores import PROTOCOLS
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.weights.bundle import Bundle

EVALUATION, STEP = "evaluation", "training step"
ENCODER, FEATURES, LOOK = "text encoder", "its features, read", "image without words"
WHOLES, PARTS = (EVALUATION, STEP), (ENCODER, FEATURES, LOOK)

Way = Callable[[], object]
_CPU = torch.device("cpu")


def ways_to_read(bundle: Bundle, settings: Settings, cache: Cache) -> dict[str, Way]:
    """By name: the two wholes, which ask the frozen text encoder, and three parts of the evaluation.

    Args:
        bundle: a model whose text encoder is frozen.
        settings: the recipe it is trained by.
        cache: with as many sentences in a batch of train as in all of val; text features are written into it.
    """
    samples = EvaluationSet(cache, VALIDATION_SPLIT, settings.data.image_size)
    asked = [samples[item] for item in range(len(samples))]
    texts = [question.text for each in asked for question in each.questions]
    images = [torch.from_numpy(each.image).unsqueeze(0) for each in asked]
    evaluator = Evaluator(bundle.model, bundle.tokenizer, settings.text.tokens, _CPU, len(texts))
    reader = TextReader(bundle.model.text, bundle.tokenizer, settings.text.tokens)
    features = _features(cache, reader)
    return {
        EVALUATION: lambda: evaluate(evaluator, samples, tuple(PROTOCOLS)),
        STEP: _step(bundle, settings, cache),
        ENCODER: lambda: list(reader.read(texts, _CPU, len(texts))),
        FEATURES: lambda: features.words(texts),
        LOOK: lambda: _look(bundle.model, images),
    }


def shares(timings: Mapping[str, Timing]) -> dict[str, dict[str, Spread]]:
    """Whole → part → its share of the whole's time, in percent, round by round."""
    return {whole: {part: _share(timings[part], timings[whole]) for part in PARTS} for whole in WHOLES}


def _share(part: Timing, whole: Timing) -> Spread:
    return Spread.of([100 * ours / all_of_it for ours, all_of_it in zip(part.seconds, whole.seconds, strict=True)])


def _features(cache: Cache, reader: TextReader) -> TextFeatures:
    sentences = cache.sentences()
    facts = TextFacts(reader.origin(), "a measurement", "fp32", reader.width)
    return TextFeatures(cache, write_features(cache, facts, reader.read(sentences, _CPU, len(sentences))))


def _step(bundle: Bundle, settings: Settings, cache: Cache) -> Way:
    """One step of training, always on the same batch."""
    samples = TrainingSet(cache, TRAIN_SPLIT, settings.data, seed=settings.loop.seed, epoch=0)
    batch = next(iter(training_batches(samples, Collate(bundle.tokenizer, settings.text.tokens), settings.loop.batch_size)))
    stepper = Stepper(bundle.model, settings, 1, make_accelerator(_CPU))

    def step() -> Tensor:
        stepper.train()
        loss = stepper.gradients([batch])
        stepper.update()
        return loss

    return step


@torch.inference_mode()
def _look(model: ReferringModel, images: list[Tensor]) -> None:
    model.eval()
    for image in images:
        model.encode_image(normalise(image))
