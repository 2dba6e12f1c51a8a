"""From settings to networks: every backbone builds, and nothing in them is dead."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch

from cmirnet_cli.config import ModelConfig, OwnBackbone
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.loss import SegmentationLoss


@pytest.mark.parametrize(
    ("backbone", "width"),
    [*((backbone, 16) for backbone in get_args(OwnBackbone)), *product(("swin-t", "resnet50"), (128, 256)), ("swin-b", 512)],
)
def test_every_backbone_trains_with_a_decoder_of_any_width(backbone: str, width: int):
    """As far as shapes tell: there are no numbers on the meta device."""
    config = ModelConfig(backbone=backbone, fusion_width=width)
    with torch.device("meta"):
        network = build_network(config).train()
        logits = network(torch.zeros(2, 3, 96, 64), torch.zeros(2, 20, 768), torch.ones(2, 20, dtype=torch.bool), torch.zeros(2, 768))
        SegmentationLoss((0.9, 1.1)).to("meta")(logits, torch.zeros(2, 96, 64, dtype=torch.int64)).backward()
    assert [tuple(head.shape) for head in (logits.main, *logits.auxiliary)] == [(2, 2, 96, 64)] * {"swin": 5, "resnet": 6}[config.family]
    assert {head.in_channels for head in network.heads} == {width}
    assert all(parameter.grad is not None and parameter.grad.shape == parameter.shape for parameter in network.parameters())


@pytest.mark.parametrize("backbone", ["swin-nano", "resnet-nano"])
def test_the_narrowest_network_learns_with_real_numbers(backbone: str, inputs: Callable):
    torch.manual_seed(0)
    network = build_network(ModelConfig(backbone=backbone, fusion_width=16, text_width=24, drop_path=0)).train()
    optimizer, loss = torch.optim.AdamW(network.parameters(), lr=1e-3), SegmentationLoss((0.9, 1.1))
    given, target = inputs(96, 64, batch=2), torch.randint(0, 2, (2, 96, 64))
    losses = []
    for _ in range(6):
        losses.append(loss(network(*given), target))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.01


def test_every_parameter_gets_a_gradient_from_the_loss(network: CMIRNet, inputs: Callable):
    target = torch.randint(0, 2, (2, 96, 64), generator=torch.Generator().manual_seed(2))
    SegmentationLoss((0.9, 1.1))(network.train()(*inputs(96, 64, batch=2)), target).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_coarser_heads_train_only_where_they_are_asked_for(network: CMIRNet, inputs: Callable):
    network(*inputs(96, 64), auxiliary=False).main.sum().backward()
    trained = [any(parameter.grad is not None for parameter in head.parameters()) for head in network.heads]
    assert trained == [False] * (len(network.heads) - 1) + [True]


def test_stochastic_depth_rises_linearly_over_all_blocks():
    network = build_network(ModelConfig(backbone="swin-s", fusion_width=16, text_width=24, drop_path=0.3))
    rates = [block.drop_path.rate for stage in network.stages for block in stage.blocks]
    np.testing.assert_allclose(rates, np.linspace(0, 0.3, 24), atol=1e-6)


def test_every_second_block_of_a_stage_is_shifted_by_half_a_window():
    with torch.device("meta"):
        network = build_network(ModelConfig(backbone="swin-b"))
    shifts = [[block.shift for block in stage.blocks] for stage in network.stages]
    assert shifts == [[0, 6], [0, 6], [0, 6] * 9, [0, 6]]


def test_resnet_words_start_without_a_part_in_the_sentence():
    network = build_network(ModelConfig(backbone="resnet-nano", fusion_width=32, text_width=24))
    assert [fusion.reading.gamma.item() for fusion in (*network.fusions, network.context_fusion)] == [0.0] * 4


@pytest.mark.parametrize("padding", [True, False])
def test_settings_decide_whether_padding_takes_part_in_the_graph(padding: bool):
    network = build_network(ModelConfig(backbone="resnet-nano", fusion_width=32, text_width=24, graph_padding=padding))
    assert network.graph.graph.padding is padding


@pytest.mark.parametrize(("backbone", "heads"), [("swin-nano", [1, 1, 1, 8]), ("resnet-nano", [8, 8, 8, 8])])
def test_attention_heads_of_the_fusions_are_the_published_ones(backbone: str, heads: list[int]):
    network = build_network(ModelConfig(backbone=backbone, fusion_width=32, text_width=24))
    assert [fusion.reading.heads for fusion in (*network.fusions, network.context_fusion)] == heads
