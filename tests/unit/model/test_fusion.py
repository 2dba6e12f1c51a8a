"""The text-guided fusion, against its formulas written as loops over images and heads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.features import EncodedText
from cmirnet_cli.model.fusion import ResNetWordReading, SwinWordReading, TextGuidedFusion, WordReading

VISUAL, TEXT, WIDTH, TOKENS, REAL, GRID = 16, 12, 24, 6, 4, (3, 5)

READINGS = {
    "swin, 1 head": lambda: TextGuidedFusion(VISUAL, SwinWordReading(VISUAL, TEXT, WIDTH, heads=1), nn.GELU),
    "swin, 8 heads": lambda: TextGuidedFusion(VISUAL, SwinWordReading(VISUAL, TEXT, WIDTH, heads=8), nn.GELU),
    "resnet": lambda: TextGuidedFusion(VISUAL, ResNetWordReading(VISUAL, TEXT, WIDTH, heads=8), nn.ReLU),
}


@pytest.fixture(params=READINGS)
def fusion(request: pytest.FixtureRequest) -> TextGuidedFusion:
    torch.manual_seed(0)
    made = READINGS[request.param]().eval()
    if isinstance(made.reading, ResNetWordReading):
        nn.init.constant_(made.reading.gamma, 0.5)
    return made


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, VISUAL, *GRID, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def text() -> EncodedText:
    generator = torch.Generator().manual_seed(2)
    keep = (torch.arange(TOKENS) < REAL).float().expand(2, 1, TOKENS)
    return EncodedText(torch.randn(2, TEXT, TOKENS, generator=generator), keep, torch.randn(2, TEXT, 1, generator=generator))


def linear(convolution: nn.Module, x: Tensor) -> Tensor:
    """A 1×1 convolution of (C, N)."""
    return convolution.weight.flatten(1) @ x + convolution.bias[:, None]


def normalised(x: Tensor) -> Tensor:
    return (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()


def attention(reading: WordReading, x: Tensor, words: Tensor, keep: Tensor) -> list[Tensor]:
    """One (N, T) matrix per head."""
    query, key = normalised(linear(reading.query, x)), keep * linear(reading.key, words)
    own = len(key) // reading.heads
    heads = [(query[h * own : (h + 1) * own], key[h * own : (h + 1) * own]) for h in range(reading.heads)]
    return [torch.softmax(q.T @ k / len(key) ** 0.5 + (1e4 * keep - 1e4), dim=1) for q, k in heads]


def weighed(weights: list[Tensor], values: Tensor) -> Tensor:
    """Values (K, T) times how much their word is read on average."""
    return torch.cat([part * weight.mean(0) for weight, part in zip(weights, values.chunk(len(weights)), strict=True)])


def read(weights: list[Tensor], values: Tensor) -> Tensor:
    return torch.cat([part @ weight.T for weight, part in zip(weights, values.chunk(len(weights)), strict=True)])


def by_the_formulas(reading: WordReading, x: Tensor, words: Tensor, keep: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """o, s and w of one image: x (Cv, N), words (D, T), keep (1, T), sentence (D, 1)."""
    weights, values = attention(reading, x, words, keep), keep * linear(reading.value, words)
    if isinstance(reading, SwinWordReading):
        new = weighed(weights, values)
        s = linear(reading.new_sentence, new.mean(1, keepdim=True)) + linear(reading.sentence, sentence)
        return normalised(linear(reading.out, read(weights, new))), s, linear(reading.new_words, new)
    new, g = weighed(weights, keep * linear(reading.word_value, words)), linear(reading.sentence, sentence)
    s = linear(reading.new_sentence, 0.5 * new.mean(1, keepdim=True) + g) + g
    return normalised(linear(reading.out, read(weights, values))), s, linear(reading.new_words, new)


@torch.inference_mode()
def test_fusion_follows_the_formulas(fusion: TextGuidedFusion, x: Tensor, text: EncodedText):
    activation = F.gelu if isinstance(fusion.reading, SwinWordReading) else F.relu
    found = fusion(x, text)
    for row in range(2):
        flat = x[row].flatten(1)
        o, s, w = by_the_formulas(fusion.reading, flat, text.words[row], text.keep[row], text.sentence[row])
        f = activation(linear(fusion.merge[0], activation(linear(fusion.visual[0], flat)) * o))
        torch.testing.assert_close(found.map[row].flatten(1), f, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.sentence[row], s, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.words[row], w, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_what_padding_words_hold_does_not_reach_a_fusion(fusion: TextGuidedFusion, x: Tensor, text: EncodedText):
    other = EncodedText(torch.where(text.keep > 0, text.words, 7.0), text.keep, text.sentence)
    for found, expected in zip(fusion(x, other), fusion(x, text), strict=True):
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


@torch.inference_mode()
def test_new_words_at_padding_are_nothing_but_the_bias(fusion: TextGuidedFusion, x: Tensor, text: EncodedText):
    words = fusion(x, text).words[..., REAL:]
    torch.testing.assert_close(words, fusion.reading.new_words.bias[:, None].expand_as(words))
