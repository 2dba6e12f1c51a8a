"""A compiled network computes what the plain one computes, and is in all else the plain one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.compiled import compile_parts
from cmirnet_cli.model.vision import StochasticDepth, WindowBlock

INPUTS = (torch.randn(2, 3, 64, 64), torch.randn(2, 20, 24), torch.ones(2, 20, dtype=torch.bool), torch.randn(2, 24))


def counting() -> tuple[list[object], Callable[..., object]]:
    """A backend that runs what it is given as it is, and all that it was given."""
    forms: list[object] = []

    def count(graph: torch.fx.GraphModule, _: list[Tensor]) -> object:
        forms.append(graph)
        return graph.forward

    return forms, count


def plain_and_compiled(backbone: str, backend: str | Callable[..., object]) -> tuple[CMIRNet, CMIRNet]:
    """The same network in both forms; the backends below do all that compiling takes, but write no machine code."""
    torch.manual_seed(0)
    plain = build_network(ModelConfig(backbone=backbone, fusion_width=32, text_width=24, drop_path=0.2))
    compiled = deepcopy(plain)
    compile_parts(compiled, backend)
    return plain, compiled


def learn(network: CMIRNet) -> Tensor:
    """Gradients of one step; its loss."""
    torch.manual_seed(1)
    network.zero_grad()
    logits = network(*INPUTS)
    loss = torch.stack([head.square().mean() for head in (logits.main, *logits.auxiliary)]).sum()
    loss.backward()
    return loss.detach()


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet-nano", "swin-nano"])
def test_a_training_step_has_the_same_loss_gradients_and_statistics(backbone: str):
    plain, compiled = (network.train() for network in plain_and_compiled(backbone, "aot_eager"))
    torch.testing.assert_close(learn(compiled), learn(plain))
    whole = torch.cat([parameter.grad.flatten() for parameter in plain.parameters()]).norm()
    for (name, ours), theirs in zip(compiled.named_parameters(), plain.parameters(), strict=True):
        assert (ours.grad - theirs.grad).norm() <= 1e-3 * theirs.grad.norm() + 1e-6 * whole, name
    for (name, ours), theirs in zip(compiled.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


@torch.inference_mode()
def test_masks_and_names_of_weights_are_the_same_and_a_copy_is_a_plain_network():
    forms, count = counting()
    plain, compiled = (network.eval() for network in plain_and_compiled("swin-nano", count))
    expected = plain(*INPUTS).main
    torch.testing.assert_close(compiled(*INPUTS).main, expected, rtol=1e-4, atol=1e-4)
    assert list(plain.state_dict()) == list(compiled.state_dict())
    assert forms
    forms.clear()
    assert torch.equal(deepcopy(compiled)(*INPUTS).main, expected)
    assert forms == []


def test_blocks_that_differ_in_weights_and_depth_rate_alone_are_compiled_once():
    forms, count = counting()
    blocks = [WindowBlock(8, heads=2, window=4, shifted=False, drop_path=rate) for rate in (0.1, 0.2, 0.3)]
    for block in blocks:
        block.train().compile(backend=count, dynamic=False)
        block(torch.randn(2, 8, 8, 8))
    assert len(forms) == 1


def test_stochastic_depth_drops_whole_samples_at_its_rate_and_keeps_the_mean():
    torch.manual_seed(0)
    out = StochasticDepth(0.25).train()(torch.ones(20_000, 2, 1, 3)).flatten(1)
    assert torch.equal(out, out[:, :1].expand(-1, 6))
    assert sorted(set(out[:, 0].tolist())) == pytest.approx([0, 1 / 0.75])
    assert float((out[:, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.01)


def test_stochastic_depth_leaves_evaluation_alone():
    x = torch.randn(2, 3, 3, 4)
    assert nn.Sequential(StochasticDepth(0.9)).eval()(x) is x


@pytest.mark.slow
def test_a_machine_without_a_compiler_is_told_what_to_do(tmp_path: Path):
    code = """
import torch
from cmirnet_cli.errors import UsageError
from cmirnet_cli.model.compiled import require_compiler
try:
    require_compiler(torch.device("cpu"))
except UsageError as error:
    print(error.message, error.hint, sep="; ")
"""
    there = os.environ | {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=there, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"torch\.compile does not work here: .*compiler.*; install a C\+\+ compiler, or leave it out\n", said)
