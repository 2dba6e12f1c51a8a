"""Gradient checkpointing changes memory and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.recompute import recompute_activations

INPUTS = (torch.randn(2, 3, 64, 64), torch.randn(2, 20, 24), torch.ones(2, 20, dtype=torch.bool), torch.randn(2, 24))


@pytest.fixture(params=["resnet-nano", "swin-nano"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[CMIRNet, CMIRNet]]:
    """The same network, without and with recomputed activations."""
    torch.manual_seed(0)
    plain = build_network(ModelConfig(backbone=request.param, fusion_width=32, text_width=24, drop_path=0.2)).train()
    recomputed = deepcopy(plain)
    recompute_activations(recomputed)
    return plain, recomputed


def backward(network: CMIRNet) -> None:
    torch.manual_seed(1)
    logits = network(*INPUTS)
    torch.stack([head.square().mean() for head in (logits.main, *logits.auxiliary)]).sum().backward()


def test_gradients_and_batch_statistics_are_the_same_bit_for_bit(pair: tuple[CMIRNet, CMIRNet]):
    plain, recomputed = pair
    backward(plain)
    backward(recomputed)
    for (name, ours), theirs in zip(recomputed.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad), name
    for (name, ours), theirs in zip(recomputed.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs), name


def test_forward_pass_is_computed_a_second_time(pair: tuple[CMIRNet, CMIRNet]):
    costs = []
    for network in pair:
        with FlopCounterMode(display=False) as counter:
            backward(network)
        costs.append(counter.get_total_flops())
    assert 1.2 < costs[1] / costs[0] < 4 / 3 + 0.01


def test_state_dict_and_evaluation_are_those_of_the_plain_network(pair: tuple[CMIRNet, CMIRNet]):
    plain, recomputed = (network.eval() for network in pair)
    assert list(plain.state_dict()) == list(recomputed.state_dict())
    assert torch.equal(plain(*INPUTS).main, recomputed(*INPUTS).main)


def test_synchronised_batch_norm_has_a_counter_in_both_passes(pair: tuple[CMIRNet, CMIRNet]):
    """`nn.SyncBatchNorm` raises without one, but needs a GPU to be asked."""
    seen: list[object] = []
    _, recomputed = pair
    norm = next(module for module in recomputed.context.modules() if isinstance(module, nn.BatchNorm2d))
    norm.register_forward_pre_hook(lambda module, inputs: seen.append(module.num_batches_tracked))
    backward(recomputed)
    assert len(seen) == 2
    assert all(isinstance(counter, torch.Tensor) for counter in seen)
    assert norm.num_batches_tracked is seen[0]
    assert seen[0] == 1
