"""ImageNet starting points: timm's names to ours, and timm's maps from them."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.model.build import RESNET, SWIN, build_network
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.weights.imagenet import load_backbone, load_start


def classifier(backbone: str) -> nn.Module:
    """timm's model for a backbone, with random weights; what starts at zero or one is moved off it."""
    torch.manual_seed(0)
    model = timm.create_model((SWIN | RESNET)[backbone].imagenet, pretrained=False, num_classes=0).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.2, 0.4)
    return model


def with_trunk_of(model: nn.Module, backbone: str) -> CMIRNet:
    config = ModelConfig(backbone=backbone, fusion_width=32, text_width=24)
    network = build_network(config).eval()
    load_backbone(network, model.state_dict(), config)
    return network


def stage_maps(network: CMIRNet, image: Tensor) -> list[Tensor]:
    maps = [image]
    for stage in network.stages:
        maps.append(stage(maps[-1]))
    return maps[1:]


@torch.inference_mode()
def test_resnet_stages_give_timms_maps():
    model, image = classifier("resnet50"), torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    expected = model.forward_intermediates(image, intermediates_only=True)
    for ours, theirs in zip(stage_maps(with_trunk_of(model, "resnet50"), image), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@torch.inference_mode()
def test_swin_stages_give_timms_maps_where_no_window_is_padded_and_every_map_is_larger_than_one():
    model, image = classifier("swin-t"), torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    expected = model.forward_intermediates(image, intermediates_only=True)
    ours = stage_maps(with_trunk_of(model, "swin-t"), image)
    for level in range(3):
        torch.testing.assert_close(ours[level], expected[level], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(ours[3], expected[3], atol=1e-4)  # one window: timm's last block does not shift, the published one does


def test_weights_of_another_trunk_are_refused_by_name_in_one_line():
    config = ModelConfig(backbone="resnet-nano", fusion_width=32, text_width=24)
    with pytest.raises(WeightsError, match=r"do not fit resnet-nano: .*Missing key\(s\).*0\.conv\.0\.weight") as caught:
        load_backbone(build_network(config), classifier("resnet50").state_dict(), config)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("start", "message"), [("imagenet", "no ImageNet weights for swin-nano"), ("coco", "unknown starting point 'coco'")]
)
def test_starting_point_that_does_not_exist_is_refused_with_a_hint(start: str, message: str):
    config = ModelConfig(backbone="swin-nano", fusion_width=32, text_width=24)
    with pytest.raises(WeightsError, match=message) as caught:
        load_start(build_network(config), config, start)
    assert "none" in caught.value.hint
