"""A few sentences of val with the masks that the network gives them now, as pictures for trackers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cmirnet_cli.batches.batch import normalise
from cmirnet_cli.batches.datasets import EvaluationSet
from cmirnet_cli.engine.evaluation.loop import Evaluator
from cmirnet_cli.engine.training.requirements import VALIDATION_SPLIT
from cmirnet_cli.images.pixels import Mask, Pixels

if TYPE_CHECKING:
    from cmirnet_cli.engine.training.loop import Trainer

COUNT = 4
"""How many images are shown: spread evenly over the split, always the same ones, each with its first sentence."""

_TINT = np.array([255, 122, 0], np.float32)


@dataclass(frozen=True)
class Example:
    """A sentence, and three pictures beside each other, uint8 (S, 3·S, 3): the image, its target and the prediction, both tinted."""

    sentence: str
    picture: Pixels


@torch.inference_mode()
def examples_of(trainer: Trainer) -> list[Example]:
    """The examples with the weights that the validation scores. No random number is drawn."""
    settings, model = trainer.settings, trainer.stepper.result
    evaluator = Evaluator(model, trainer.bundle.tokenizer, settings.text.tokens, trainer.accelerator.device, features=trainer.features)
    samples = EvaluationSet(trainer.cache, VALIDATION_SPLIT, settings.data.image_size)
    model.eval()
    examples = []
    for place in dict.fromkeys(np.linspace(0, len(samples) - 1, COUNT).astype(int).tolist()):
        image = samples[place]
        sentence = image.sentences[0]
        words, keep = evaluator.read([sentence.text])
        features = model.encode_image(normalise(torch.from_numpy(image.image[None]).to(evaluator.device)))
        logits = model.decode(features, words, keep, auxiliary=False).main[0]
        prediction = (logits[1] > logits[0]).numpy(force=True)
        shown = [image.image, _tinted(image.image, sentence.target > 0), _tinted(image.image, prediction)]
        examples.append(Example(sentence.text, np.concatenate(shown, axis=1)))
    return examples


def _tinted(image: Pixels, mask: Mask) -> Pixels:
    """The image with the masked pixels half in orange."""
    pixels = image.astype(np.float32)
    pixels[mask] = (pixels[mask] + _TINT) / 2
    return pixels.astype(np.uint8)
