"""What one forward of a model costs, from its settings alone: parameters and arithmetic without its weights, and time with random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AutoModel, BertConfig, PreTrainedModel

from cmirnet_cli.benchmarks.timing import Progress, Spread, gflops_of, side_by_side
from cmirnet_cli.config import SCRATCH, ModelConfig, Settings, TextConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.cmirnet import Network
from cmirnet_cli.weights.encoder import scratch_config

ROUNDS = 5


@dataclass(frozen=True)
class Architecture:
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
    def of(cls, settings: Settings) -> Architecture:
        """That of a run with these settings."""
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
    """What a model costs for one image and one sentence.

    Attributes:
        image_size: side of the image in pixels.
        tokens: of the sentence, padding included.
        network: without the heads that only training needs to compute.
        text: the text encoder.
        milliseconds: of a forward of both, where that was timed.
    """

    image_size: int
    tokens: int
    network: PartCost
    text: PartCost
    milliseconds: Spread | None


def costs_of(recipes: Sequence[Settings], *, timed: bool, progress: Progress) -> list[Cost]:
    """What the model of each recipe costs; models that several recipes share are measured once."""
    architectures = [Architecture.of(settings) for settings in recipes]
    distinct = dict.fromkeys(architectures)
    costs = {}
    with progress("measure" if timed else "count", len(distinct)) as advance:
        for architecture in distinct:
            costs[architecture] = cost_of(architecture, timed=timed)
            advance(1)
    return [costs[architecture] for architecture in architectures]


def cost_of(architecture: Architecture, *, timed: bool = False) -> Cost:
    """Count parameters and arithmetic on torch's meta device, which has shapes and no numbers; measure the time if it is to be timed.

    Convolutions and matrix products (attention's too) are counted; normalisations, activations, softmax and resizing are not: they cost
    time, but hardly any arithmetic. A text encoder from scratch is counted with a single word, as the data decide how many it has; any
    other one is taken to be the published one, BERT base.
    """
    model = architecture.model
    foreign = _network(architecture).to("meta") if model.family == "timm" or model.network else None  # not all can be built there
    with torch.device("meta"), torch.inference_mode():
        network, encoder = foreign or _network(architecture), _encoder(architecture)
        image, ids, words = _input(architecture)
        network_cost = PartCost(_parameters(network), gflops_of(lambda: _decode(network, image, words)))
        text_cost = PartCost(_parameters(encoder), gflops_of(lambda: encoder(input_ids=ids)))
    took = time_of(architecture) if timed else None
    return Cost(architecture.image_size, architecture.text.tokens, network_cost, text_cost, took)


@torch.inference_mode()
def time_of(architecture: Architecture) -> Spread:
    """Milliseconds of one forward of text encoder and network on the CPU, in fp32, with random weights, after one to warm up.

    The plain way: PyTorch as it comes, one image and one sentence.
    """
    network, encoder = _network(architecture), _encoder(architecture)
    image, ids, _ = _input(architecture)

    def predict() -> None:
        _decode(network, image, encoder(input_ids=ids).last_hidden_state)

    predict()
    return side_by_side({"predict": predict}, 1, ROUNDS)["predict"].milliseconds


def _network(architecture: Architecture) -> Network:
    return build_network(architecture.model, architecture.image_size).eval()


def _encoder(architecture: Architecture) -> PreTrainedModel:
    """The text encoder without what follows the last hidden state, which nothing reads."""
    scratch = architecture.text.source == SCRATCH
    config = scratch_config(architecture.text, architecture.model.text_width, words=1) if scratch else BertConfig()
    encoder: PreTrainedModel = AutoModel.from_config(config, add_pooling_layer=False).eval()
    return encoder


def _input(architecture: Architecture) -> tuple[Tensor, Tensor, Tensor]:
    """An image of noise (1, 3, S, S), token ids (1, T) and, in place of what the text encoder makes of them, words (1, T, D)."""
    size, tokens, width = architecture.image_size, architecture.text.tokens, architecture.model.text_width
    return torch.randn(1, 3, size, size), torch.zeros(1, tokens, dtype=torch.int64), torch.randn(1, tokens, width)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _decode(network: nn.Module, image: Tensor, words: Tensor) -> None:
    network(image, words, torch.ones(words.shape[:2], dtype=torch.bool), words[:, 0], auxiliary=False)
