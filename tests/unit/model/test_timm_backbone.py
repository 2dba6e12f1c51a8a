"""Backbones of timm's: cut where text is fused, or with text beside them."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from cmirnet_cli.batches.batch import normalise
from cmirnet_cli.config import ModelConfig
from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.build import build_cmirnet
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.fast.optimizations import OPTIMIZATIONS, accelerate, applicable
from cmirnet_cli.model.loss import SegmentationLoss
from cmirnet_cli.model.timm_backbone import timm_backbone
from tests.unit.model.conftest import TEXT_WIDTH, Inputs

CUT = ("convnextv2_atto", "tf_efficientnetv2_b0", "regnety_002", "mobilenetv4_conv_small_035", "hgnetv2_b0", "test_maxvit", "pvt_v2_b0")
LARGER = ("swinv2_tiny_window8_256", "convnext_tiny.dinov3_lvd1689m")
BESIDE = ("test_vit", "eva02_tiny_patch14_224")
FAMILIES = (*CUT, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGER), *BESIDE)
SIZE = 64


def network_with(name: str, size: int = SIZE) -> CMIRNet:
    torch.manual_seed(0)
    return build_cmirnet(ModelConfig(backbone=f"timm/{name}", fusion_width=16, text_width=TEXT_WIDTH, drop_path=0), size)


def seen(size: int = SIZE) -> Inputs:
    generator = torch.Generator().manual_seed(1)
    words = torch.randn(2, 20, TEXT_WIDTH, generator=generator)
    return torch.randn(2, 3, size, size, generator=generator), words, torch.arange(20).expand(2, 20) < 6, words[:, 0]


@pytest.mark.parametrize("name", FAMILIES)
def test_two_steps_change_every_parameter_of_a_network_around_it(name: str):
    network, loss = network_with(name).train(), SegmentationLoss((0.9, 1.1))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        logits = network(*seen())
        loss(logits, torch.randint(0, 2, (2, SIZE, SIZE))).backward()
        optimizer.step()
    assert [tuple(head.shape) for head in (logits.main, *logits.auxiliary)] == [(2, 2, SIZE, SIZE)] * 5
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", [*CUT, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGER)])
@torch.inference_mode()
def test_its_stages_one_after_the_other_are_timms_own_pyramid(name: str):
    torch.manual_seed(0)
    backbone = timm_backbone(f"timm/{name}", SIZE, drop_path=0)
    torch.manual_seed(0)
    fixed = {"img_size": SIZE} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    whole = timm.create_model(name, features_only=True, drop_path_rate=0, **fixed).eval()
    image, source = torch.rand(2, 3, SIZE, SIZE), timm.get_pretrained_cfg(name)
    usual, theirs = (
        (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        for mean, std in (((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), (source.mean, source.std))
    )
    expected = whole(theirs)[-4:]
    expected = [x.permute(0, 3, 1, 2) for x in expected] if name.startswith("swin") else expected
    x = usual
    for stage, map_, width, stride in zip(backbone.stages, expected, backbone.widths, backbone.strides, strict=True):
        x = stage.eval()(x)
        assert x.shape == (2, width, SIZE // stride, SIZE // stride)
        torch.testing.assert_close(x, map_, atol=2e-4, rtol=1e-3)
    assert (backbone.strides, backbone.wordless, backbone.beside) == ((4, 8, 16, 32), 1, False)


def test_text_flows_on_through_a_backbone_that_is_cut_and_not_through_one_that_is_not():
    for name, flows in (("convnextv2_atto", True), ("test_vit", False)):
        network = network_with(name).eval()
        image, words, keep, sentence = seen()
        last = network.stages[-1]
        fed: list[torch.Tensor] = []
        last.register_forward_hook(lambda module, given, made, fed=fed: fed.append(given[0]))
        for scale in (1, 3):
            network(image, scale * words, keep, sentence)
        assert torch.equal(*fed) is not flows
        assert network.beside is not flows


def test_a_plain_transformer_gets_maps_at_four_strides():
    backbone = timm_backbone("timm/test_vit", SIZE, drop_path=0)
    (trunk,) = backbone.stages
    assert [tuple(map_.shape) for map_ in trunk(torch.zeros(1, 3, SIZE, SIZE))] == [
        (1, 16, 16, 16),
        (1, 32, 8, 8),
        (1, 64, 4, 4),
        (1, 64, 2, 2),
    ]
    assert (backbone.widths, backbone.strides, backbone.wordless) == ((16, 32, 64, 64), (4, 8, 16, 32), 1)


def test_images_are_enlarged_to_whole_patches_where_these_do_not_divide_them():
    (trunk,) = timm_backbone("timm/eva02_tiny_patch14_224", SIZE, drop_path=0).stages
    assert trunk.side == 70
    assert trunk(torch.zeros(1, 3, SIZE, SIZE))[2].shape[2:] == (5, 5)


def test_a_backbone_gets_images_normalised_as_it_was_trained():
    (trunk,) = timm_backbone("timm/test_vit", SIZE, drop_path=0).stages
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8))
    expected = (pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    torch.testing.assert_close(trunk.statistics(normalise(pixels)), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("convnext_tinyy", "timm .* has no model 'convnext_tinyy'", "did you mean timm/convnext_tiny or "),
        ("convnext_tiny.coco", "has no weights 'coco' for convnext_tiny", "it has timm/convnext_tiny.dinov3_lvd1689m, "),
        ("sequencer2d_s", "gives maps at the strides 7, 14, 14", "at least two at stride 8, 16 or 32 are required"),
    ],
)
def test_a_model_that_timm_lacks_or_that_has_no_pyramid_is_refused(name: str, message: str, hint: str):
    with pytest.raises(ConfigError, match=message) as caught:
        timm_backbone(f"timm/{name}", SIZE, drop_path=0)
    assert caught.value.hint.startswith(hint)


@torch.inference_mode()
def test_what_is_optimized_lies_around_it():
    network = network_with("convnextv2_atto").eval()
    made = applicable(network)
    assert set(OPTIMIZATIONS) - set(made) == {"windows"}
    plain = network(*seen()).main
    fast = accelerate(network, SIZE, [name for name in OPTIMIZATIONS if name != "compile"])
    assert fast.optimizations == tuple(name for name in made if name != "compile")
    torch.testing.assert_close(fast(*seen()).main, plain, atol=1e-3, rtol=1e-3)
