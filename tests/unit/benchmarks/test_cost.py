"""What a forward costs, against counts by hand; how long anything takes is not tested."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cmirnet_cli.benchmarks.cost import Architecture, cost_of
from cmirnet_cli.config import ModelConfig, Settings, TextConfig, resolve
from cmirnet_cli.model.build import build_network

SIZE, TOKENS, TEXT, WIDTH = 96, 20, 24, 32


def architecture(backbone: str, **text: object) -> Architecture:
    model = ModelConfig(backbone=backbone, fusion_width=WIDTH, text_width=TEXT)
    return Architecture(model, TextConfig(source="scratch", scratch_layers=2, scratch_heads=4, tokens=TOKENS, **text), SIZE)


class LayerCount:
    """Operations of the convolutions and linear layers that run: each output is a sum of products over the inputs it sees."""

    def __init__(self, network: nn.Module) -> None:
        self.operations = 0
        for layer in network.modules():
            if isinstance(layer, (nn.Conv1d, nn.Conv2d)):
                layer.register_forward_hook(self.convolution)
            elif isinstance(layer, nn.Linear):
                layer.register_forward_hook(self.linear)

    def convolution(self, layer: nn.Conv2d, inputs: object, output: Tensor) -> None:
        self.operations += 2 * output.numel() * layer.weight[0].numel()

    def linear(self, layer: nn.Linear, inputs: object, output: Tensor) -> None:
        self.operations += 2 * output.numel() * layer.in_features


def layers(config: ModelConfig) -> int:
    """Those of one real forward with numbers."""
    network = build_network(config).eval()
    count = LayerCount(network)
    words = torch.randn(1, TOKENS, TEXT)
    with torch.inference_mode():
        network(torch.randn(1, 3, SIZE, SIZE), words, torch.ones(1, TOKENS, dtype=torch.bool), words[:, 0], auxiliary=False)
    return count.operations


def read_words(side: int, channels: int) -> int:
    """A fusion: every position's query meets every word's key, and every position gathers every word's value."""
    return 2 * 2 * side**2 * TOKENS * channels


def decode(side: int) -> int:
    """The graph: distances from positions to words, eight heads against each other, every position with every other one."""
    heads = 8
    return 2 * side**2 * TOKENS * WIDTH + 2 * 2 * heads * WIDTH + 2 * 2 * (side**2) ** 2 * WIDTH


def attend_with_the_sentence(side: int) -> int:
    """A decoder level: every position meets the sentence, and one sum over the positions."""
    return 2 * 2 * side**2 * WIDTH


def windows(side: int, channels: int, blocks: int, window: int = 6) -> int:
    """A Swin stage: within each window, the map padded to whole ones, every position meets every other one."""
    count = (-(-side // window)) ** 2
    return blocks * 2 * 2 * count * window**4 * channels


def by_hand(config: ModelConfig) -> int:
    """All attention of a nano network: the fusions' channels differ between the families."""
    if config.family == "swin":
        stages = sum(windows(24 // 2**level, 32 * 2**level, blocks=2) for level in range(4))
        fusions = read_words(12, 64) + read_words(6, 128) + 2 * read_words(3, 256)
    else:
        stages, fusions = 0, read_words(12, WIDTH) + read_words(6, WIDTH) + 2 * read_words(3, WIDTH)
    return stages + fusions + decode(3) + 2 * attend_with_the_sentence(3) + sum(map(attend_with_the_sentence, (6, 12)))


@pytest.mark.parametrize("backbone", ["resnet-nano", "swin-nano"])
def test_arithmetic_is_what_layers_and_attention_come_to_by_hand(backbone: str):
    small = architecture(backbone)
    assert round(1e9 * cost_of(small).network.gflops) == layers(small.model) + by_hand(small.model)


@pytest.mark.parametrize("backbone", ["resnet-nano", "swin-nano"])
def test_parameters_are_those_of_the_real_network(backbone: str):
    small = architecture(backbone)
    assert cost_of(small).network.parameters == sum(parameter.numel() for parameter in build_network(small.model).parameters())


def transformer(layers: int, width: int) -> int:
    """Operations of a BERT: four projections, two layers of four times the width, every token with every other one."""
    return layers * (2 * TOKENS * width**2 * (4 + 2 * 4) + 2 * 2 * TOKENS**2 * width)


def test_the_published_text_encoder_is_bert_base():
    text = cost_of(Architecture.of(Settings())).text
    assert text.gflops == pytest.approx(transformer(12, 768) / 1e9, rel=1e-12)
    assert text.parameters == 109_482_240 - (768 * 768 + 768)  # as published, less the pooler, which is not used


def test_a_text_encoder_from_scratch_is_counted_with_one_word():
    text = cost_of(architecture("resnet-nano")).text
    assert text.gflops == pytest.approx(transformer(2, TEXT) / 1e9, rel=1e-12)
    embeddings = (1 + TOKENS + 2) * TEXT + 2 * TEXT
    layer = 12 * TEXT**2 + 9 * TEXT + 4 * TEXT
    assert text.parameters == embeddings + 2 * layer


def test_half_the_width_saves_more_than_the_finest_level_alone_and_less_than_three_of_it():
    whole, half = (cost_of(Architecture.of(resolve(name))).network for name in ("refcoco-swin-b", "refcoco-swin-b-width-256"))
    saved = 1e9 * (whole.gflops - half.gflops)
    finest = 2 * 120**2 * 9 * (1024 * 512 + 512 * 512 - 512 * 256 - 256 * 256)  # the two 3×3 convolutions of the last level
    assert finest < saved < 3 * finest


def test_presets_that_are_trained_differently_share_one_cost():
    names = ("refcoco-swin-b", "refcoco-swin-b-ema", "refcoco-swin-b-frozen-text", "refcoco-swin-b-text-dropout")
    assert len({Architecture.of(resolve(name)) for name in names}) == 1
    assert (
        len({Architecture.of(resolve(name)) for name in ("refcoco-swin-b", "refcoco-swin-b-width-256", "refcoco-resnet50", "smoke")}) == 4
    )
