"""Weights of timm's models in the stages of a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.model.build import build_cmirnet
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.weights.imagenet import load_start

SIZE = 64


def network_with(name: str) -> tuple[CMIRNet, ModelConfig]:
    config = ModelConfig(backbone=f"timm/{name}", fusion_width=16, text_width=24)
    return build_cmirnet(config, SIZE).eval(), config


@pytest.mark.parametrize("name", ["test_convnext2", "mobilenetv4_conv_small_035", "test_maxvit", "test_vit"])
@pytest.mark.parametrize("kind", ["pth", "safetensors"])
@torch.inference_mode()
def test_a_file_of_the_whole_classifier_fills_the_backbone(name: str, kind: str, tmp_path: Path):
    torch.manual_seed(1)
    fixed = {"img_size": SIZE} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    whole = timm.create_model(name, **fixed).eval()
    file = tmp_path / f"backbone.{kind}"
    (torch.save if kind == "pth" else save_file)(whole.state_dict(), file)
    network, config = network_with(name)
    report = load_start(network, config, str(file), SIZE)
    image = torch.randn(1, 3, SIZE, SIZE)
    network.stages[0].parts.pop("statistics") if not network.beside else setattr(network.stages[0], "statistics", torch.nn.Identity())
    x = image
    if network.beside:
        x = network.stages[0].features(x)[-1]
    else:
        for stage in network.stages:
            x = stage(x)
    expected = whole.forward_intermediates(image, intermediates_only=True, norm=False)[-1]
    torch.testing.assert_close(x, expected)
    assert report.ignored
    assert not report.missing


def test_position_embeddings_are_brought_to_the_image_size(tmp_path: Path):
    whole = timm.create_model("test_vit")  # of 160 px
    torch.save(whole.state_dict(), tmp_path / "vit.pth")
    network, config = network_with("test_vit")
    load_start(network, config, str(tmp_path / "vit.pth"), SIZE)
    assert network.stages[0].features.model.pos_embed.shape[1] < whole.pos_embed.shape[1]


def test_a_file_without_some_of_the_backbone_is_refused(tmp_path: Path):
    state = timm.create_model("test_convnext2").state_dict()
    del state["stages.1.blocks.0.conv_dw.weight"]
    torch.save(state, tmp_path / "part.pth")
    network, config = network_with("test_convnext2")
    with pytest.raises(WeightsError, match=r"do not fit timm/test_convnext2: they lack .*conv_dw\.weight"):
        load_start(network, config, str(tmp_path / "part.pth"), SIZE)


@pytest.mark.parametrize("other", ["test_convnext", "test_vit"])
def test_a_file_of_another_model_is_refused(other: str, tmp_path: Path):
    torch.save(timm.create_model(other).state_dict(), tmp_path / "other.pth")
    network, config = network_with("test_convnext2")
    with pytest.raises(WeightsError, match="do not fit timm/test_convnext2"):
        load_start(network, config, str(tmp_path / "other.pth"), SIZE)


def test_weights_that_cannot_be_fetched_are_named_with_the_local_way():
    network, config = network_with("test_convnext2")
    with pytest.raises(WeightsError, match=r"timm's weights of test_convnext2 cannot be fetched") as caught:
        load_start(network, config, "imagenet", SIZE)
    assert "--backbone-weights FILE" in caught.value.hint


def test_a_model_without_weights_says_so():
    network, config = network_with("nest_tiny")
    with pytest.raises(WeightsError, match="timm has no weights for timm/nest_tiny") as caught:
        load_start(network, config, "imagenet", SIZE)
    assert "--backbone-weights none" in caught.value.hint
