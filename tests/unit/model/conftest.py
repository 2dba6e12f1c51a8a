"""Small networks of both families, and made-up images and words for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.cmirnet import CMIRNet

TEXT_WIDTH, TOKENS = 24, 20
FUSION_WIDTH = 128
"""Sixteen channels a graph head: with only a few, words often lie in the very same direction and rounding chooses the neighbours."""

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(params=["swin-nano", "resnet-nano"])
def network(request: pytest.FixtureRequest) -> CMIRNet:
    """A network of each family, in eval mode."""
    torch.manual_seed(0)
    return build_network(ModelConfig(backbone=request.param, fusion_width=FUSION_WIDTH, text_width=TEXT_WIDTH)).eval()


@pytest.fixture
def inputs() -> Callable[..., Inputs]:
    """Makes image, words, keep and sentence; row b has 4 + 5·b real tokens."""

    def made(height: int, width: int, batch: int = 1) -> Inputs:
        generator = torch.Generator().manual_seed(1)
        words = torch.randn(batch, TOKENS, TEXT_WIDTH, generator=generator)
        keep = torch.arange(TOKENS) < 4 + 5 * torch.arange(batch)[:, None]
        return torch.randn(batch, 3, height, width, generator=generator), words, keep, words[:, 0]

    return made
