"""What one forward of a model costs, from its settings alone: parameters and arithmetic without its weights, and time with random ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AutoModel, BertConfig, PreTrainedModel

from cmirnet_cli.benchmarks.timing import Spread, gflops_of, side_by_side
from cmirnet_cli.config import SCRATCH, ModelConfig, Settings, TextConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.weights.encoder import scratch_config

ROUNDS = 5


@dataclass(frozen=True)
class Subject:
    """All that the cost of predicting one image with one sentence depends on; presets that agree in it share their cost.

    Attributes:
        model: the network.
        text: the text encoder; how it is trained stands at the default.
        image_size: S, side of the image in pixels.
    """

    model: ModelConfig
    text: TextConfig
    image_size: int

    @classmethod
    def of(cls, settings: Settings) -> Subject:
        """What settings say about it."""
        text = settings.text
        encoder = TextConfig(source=text.source, scratch_layers=text.scratch_layers, scratch_heads=text.scratch_heads, tokens=text.tokens)
        return cls(settings.model, encoder, settings.data.image_size)


@dataclass(frozen=True)
class PartCost:
    """What one part of a model costs: its parameters, and 10⁹ floating-point operations of one forward (a multiply-add is two)."""

    parameters: int
    gflops: float


@dataclass(frozen=True)
class Cost:
    """What a model costs: the network without the heads that only training needs to compute, and the text encoder."""

    network: PartCost
    text: PartCost


def cost_of(subject: Subject) -> Cost:
    """Count parameters and arithmetic on torch's meta device, which has shapes and no numbers.

    Convolutions and matrix products (attention's too) are counted; normalisations, activations, softmax and resizing are not: they cost
    time, but hardly any arithmetic. A text encoder from scratch is counted with a single word, as the data decide how many it has; any
    other one is taken to be the published one, BERT base.
    """
    with torch.device("meta"), torch.inference_mode():
        network, encoder = _network(subject), _encoder(subject)
        image, ids, words = _input(subject)
        seen = PartCost(_parameters(network), gflops_of(lambda: _decode(network, image, words)))
        return Cost(seen, PartCost(_parameters(encoder), gflops_of(lambda: encoder(input_ids=ids))))


@torch.inference_mode()
def time_of(subject: Subject, rounds: int = ROUNDS) -> Spread:
    """Milliseconds of one forward of text encoder and network on the CPU, in fp32, with random weights, after one to warm up.

    The plain way: PyTorch as it comes, one image and one sentence.
    """
    network, encoder = _network(subject), _encoder(subject)
    image, ids, _ = _input(subject)

    def predict() -> None:
        _decode(network, image, encoder(input_ids=ids).last_hidden_state)

    predict()
    return side_by_side({"predict": predict}, 1, rounds)["predict"].milliseconds


def _network(subject: Subject) -> CMIRNet:
    return build_network(subject.model).eval()


def _encoder(subject: Subject) -> PreTrainedModel:
    """The text encoder without what follows the last hidden state, which nothing reads."""
    scratch = subject.text.source == SCRATCH
    config = scratch_config(subject.text, subject.model.text_width, words=1) if scratch else BertConfig()
    encoder: PreTrainedModel = AutoModel.from_config(config, add_pooling_layer=False).eval()
    return encoder


def _input(subject: Subject) -> tuple[Tensor, Tensor, Tensor]:
    """An image of noise (1, 3, S, S), token ids (1, T) and, in place of what the text encoder makes of them, words (1, T, D)."""
    size, tokens = subject.image_size, subject.text.tokens
    return torch.randn(1, 3, size, size), torch.zeros(1, tokens, dtype=torch.int64), torch.randn(1, tokens, subject.model.text_width)


def _decode(network: CMIRNet, image: Tensor, words: Tensor) -> None:
    network(image, words, torch.ones(words.shape[:2], dtype=torch.bool), words[:, 0], auxiliary=False)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
