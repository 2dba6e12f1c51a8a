"""An optimized network against the same network as it was."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.fast import windows
from cmirnet_cli.model.fast.convolutions import by_taps
from cmirnet_cli.model.fast.names import COMPILE, OPTIMIZATIONS, PACKED
from cmirnet_cli.model.fast.optimizations import accelerate, measured_to_help
from cmirnet_cli.model.fast.packed import FEWEST_OUTPUTS
from cmirnet_cli.model.fast.windows import GatheringBlock
from cmirnet_cli.model.fast.winograd import WinogradConv
from cmirnet_cli.model.vision import WindowBlock

SIZE = 256
"""What the networks are optimized for; they are asked about smaller images, which is quicker."""
WIDTH = 128
FORMS = tuple(name for name in OPTIMIZATIONS if name != COMPILE)
"""Compiling takes long and is tested by itself."""


def lived_in(network: nn.Module) -> None:
    """Give batch norms statistics and scales as training would, so that they are no identities."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)


@pytest.fixture(scope="module", params=["swin-nano", "resnet-nano"])
def network(request: pytest.FixtureRequest) -> CMIRNet:
    torch.manual_seed(0)
    made = build_network(ModelConfig(backbone=request.param, fusion_width=WIDTH, text_width=32)).eval()
    lived_in(made)
    return made


@pytest.fixture(scope="module")
def asked() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two images of 96 × 128 px with expressions of 5 and 9 tokens: image, words, keep, sentence."""
    generator = torch.Generator().manual_seed(1)
    image, words = torch.randn(2, 3, 96, 128, generator=generator), torch.randn(2, 20, 32, generator=generator)
    keep = torch.arange(20) < torch.tensor([[5], [9]])
    return image, words, keep, words[:, 0]


def differs(found: Tensor, expected: Tensor) -> tuple[float, float]:
    """The largest difference of logits in standard deviations, and the share of pixels whose class differs."""
    changed = (found.argmax(1) != expected.argmax(1)).float().mean()
    return float((found - expected).abs().max() / expected.std()), float(changed)


@pytest.mark.parametrize("optimizations", [(name,) for name in FORMS] + [FORMS], ids="+".join)
@torch.inference_mode()
def test_every_optimization_keeps_every_head_and_every_mask(network: CMIRNet, asked: tuple[Tensor, ...], optimizations: tuple[str, ...]):
    expected, found = network(*asked), accelerate(deepcopy(network), SIZE, optimizations)(*asked)
    for ours, plain in zip([found.main, *found.auxiliary], [expected.main, *expected.auxiliary], strict=True):
        error, changed = differs(ours, plain)
        assert error < 1e-3
        assert changed <= 5e-4


@torch.inference_mode()
def test_image_and_text_may_be_asked_apart_and_images_are_not_painted_over(network: CMIRNet, asked: tuple[Tensor, ...]):
    fast = accelerate(deepcopy(network), SIZE, FORMS)
    image, *text = asked
    seen = fast.encode_image(image)
    first, second = (fast.decode(seen, *text, auxiliary=False).main for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert differs(first, network(*asked).main)[0] < 1e-3


@torch.inference_mode()
def test_bf16_rounds_but_finds_nearly_the_same_masks(network: CMIRNet, asked: tuple[Tensor, ...]):
    found = accelerate(deepcopy(network), SIZE, FORMS, "bf16")(*asked).main
    assert found.dtype == torch.float32
    error, changed = differs(found, network(*asked).main)
    assert error > 1e-4
    assert changed < 0.15


@pytest.mark.parametrize("size", [SIZE, 60 * 32])
def test_optimized_parts_stand_where_they_should(network: CMIRNet, size: int):
    fast = accelerate(deepcopy(network), size, FORMS)
    assert WindowBlock not in map(type, fast.modules())
    assert nn.BatchNorm2d not in map(type, fast.decoder.modules())
    assert all(module.out_features < FEWEST_OUTPUTS for module in fast.modules() if isinstance(module, nn.Linear))
    strides = [32, *(32 >> step for step in range(len(fast.heads) - 1))]
    optimized = [WinogradConv in map(type, level.modules()) for level in fast.decoder.levels]
    assert optimized == [size // stride >= 60 for stride in strides]
    assert any(optimized)


def test_no_optimization_leaves_the_network_as_it_was(network: CMIRNet):
    before = network.state_dict()
    after = accelerate(deepcopy(network), SIZE, ()).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@torch.inference_mode()
def test_head_by_taps_is_the_convolution():
    torch.manual_seed(0)
    head, x = nn.Conv2d(7, 3, 3, padding=1), torch.randn(2, 7, 5, 6)
    torch.testing.assert_close(by_taps(head)(x), head(x), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("together", [1, 3 * 2 * 4**4, windows.SCORES_TOGETHER], ids=["one window", "three", "all"])
@pytest.mark.parametrize("shifted", [False, True])
def test_gathered_windows_attend_like_cut_ones(shifted: bool, together: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(windows, "SCORES_TOGETHER", together)
    torch.manual_seed(0)
    block = WindowBlock(32, heads=2, window=4, shifted=shifted, drop_path=0.0).eval()
    gathering = GatheringBlock(block)
    for size in ((7, 5), (4, 4), (8, 12), (3, 3), (7, 5)):  # one size after another, as images of several sizes would come
        x = torch.randn(2, *size, 32)
        torch.testing.assert_close(gathering(x), block(x), atol=1e-5, rtol=1e-5)


def test_optimizations_are_made_where_they_were_measured():
    assert measured_to_help(torch.device("cpu")) == FORMS
    assert measured_to_help(torch.device("cuda")) == ()


@torch.inference_mode()
def test_a_network_is_compiled_after_its_parts_were_replaced(network: CMIRNet, asked: tuple[Tensor, ...]):
    fast = accelerate(deepcopy(network), SIZE, (*(name for name in FORMS if name != PACKED), COMPILE))
    replaced = [module for module in fast.modules() if isinstance(module, GatheringBlock)]
    assert bool(replaced) == any(isinstance(module, WindowBlock) for module in network.modules())
    with torch.compiler.set_stance("fail_on_recompile"):
        network(*asked)
        for part, inputs in ((fast, asked), *((block, asked[:1]) for block in replaced)):
            with pytest.raises(RuntimeError, match="Detected recompile"):
                part(*inputs)
