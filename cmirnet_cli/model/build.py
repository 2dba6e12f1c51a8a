"""From settings to a network: the only place that knows the widths and depths of the published backbones."""

from __future__ import annotations

import math
from dataclasses import dataclass

from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.config.published import IMAGE_SIZE
from cmirnet_cli.model.backbone import Backbone
from cmirnet_cli.model.cmirnet import CMIRNet, Network
from cmirnet_cli.model.context import MultiScaleContext, conv_bn_relu
from cmirnet_cli.model.decoder import AttentionDecoder, DecoderLevel
from cmirnet_cli.model.fusion import ResNetWordReading, SwinWordReading, TextGuidedFusion
from cmirnet_cli.model.graph import GraphPositioning
from cmirnet_cli.model.own import own_network
from cmirnet_cli.model.timm_backbone import timm_backbone
from cmirnet_cli.model.vision import resnet_stages, swin_stages


@dataclass(frozen=True)
class SwinVariant:
    """A Swin backbone: width of the first stage, blocks and heads per stage, window side."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int

    @property
    def channels(self) -> list[int]:
        """Width of every stage's map, finest first."""
        return [self.width * 2**level for level in range(len(self.depths))]


@dataclass(frozen=True)
class ResNetVariant:
    """A ResNet backbone: blocks and planes per residual stage, stem form and width."""

    block: type[BasicBlock | Bottleneck]
    depths: tuple[int, ...]
    planes: tuple[int, ...] = (64, 128, 256, 512)
    stem_type: str = ""
    stem_width: int = 32

    @property
    def channels(self) -> list[int]:
        """Width of every stage's map, finest first, the stem's included."""
        stem = 2 * self.stem_width
        return [stem, *(planes * self.block.expansion for planes in self.planes)]


SWIN = {
    "swin-nano": SwinVariant(32, (2, 2, 2, 2), (1, 2, 4, 8), 6),
    "swin-t": SwinVariant(96, (2, 2, 6, 2), (3, 6, 12, 24), 7),
    "swin-s": SwinVariant(96, (2, 2, 18, 2), (3, 6, 12, 24), 7),
    "swin-b": SwinVariant(128, (2, 2, 18, 2), (4, 8, 16, 32), 12),
    "swin-l": SwinVariant(192, (2, 2, 18, 2), (6, 12, 24, 48), 12),
}
RESNET = {
    "resnet-nano": ResNetVariant(BasicBlock, (1, 1, 1, 1), (64, 128, 256, 256), stem_type="deep", stem_width=16),
    "resnet50": ResNetVariant(Bottleneck, (3, 4, 6, 3)),
    "resnet101": ResNetVariant(Bottleneck, (3, 4, 23, 3)),
}


def build_network(config: ModelConfig, image_size: int = IMAGE_SIZE) -> Network:
    """The network that the settings describe, with random weights, in train mode: a `CMIRNet`, or one of the user's own.

    Args:
        config: of the network.
        image_size: side in pixels of the images that it will see; only some of timm's backbones depend on it.

    Raises:
        ConfigError: timm has no such backbone, or none for images of this size; or there is no such network.
    """
    return own_network(config) if config.network else build_cmirnet(config, image_size)


def build_cmirnet(config: ModelConfig, image_size: int = IMAGE_SIZE) -> CMIRNet:
    """A CMIRNet with random weights, in train mode. Raises as `build_network`."""
    backbone = make_backbone(config, image_size)
    wordless, widths = backbone.wordless, backbone.widths
    if backbone.form == "resnet":
        fusions = [_resnet_fusion(width, config) for width in (*widths[wordless:], widths[-1])]
    else:
        fusions = [*(_swin_fusion(width, config, heads=1) for width in widths[wordless:]), _swin_fusion(widths[-1], config, heads=8)]
    return _assemble(backbone, fusions[:-1], fusions[-1], config)


def make_backbone(config: ModelConfig, image_size: int) -> Backbone:
    """The backbone that the settings name, with random weights. Raises as `build_network`."""
    if config.family == "timm":
        return timm_backbone(config.backbone, image_size, config.drop_path)
    if config.family == "swin":
        swin = SWIN[config.backbone]
        stages = swin_stages(swin.width, swin.depths, swin.heads, swin.window, config.drop_path)
        return Backbone(tuple(stages), tuple(swin.channels), (4, 8, 16, 32), wordless=1, form="swin")
    resnet = RESNET[config.backbone]
    stem = {"stem_type": resnet.stem_type, "stem_width": resnet.stem_width}
    trunk = ResNet(resnet.block, resnet.depths, channels=resnet.planes, zero_init_last=False, **stem)
    return Backbone(tuple(resnet_stages(trunk)), tuple(resnet.channels), (2, 4, 8, 16, 32), wordless=2, form="resnet")


def _swin_fusion(width: int, config: ModelConfig, heads: int) -> TextGuidedFusion:
    reading = SwinWordReading(width, config.text_width, config.fusion_width, math.gcd(width, heads))
    return TextGuidedFusion(width, reading, nn.GELU)


def _resnet_fusion(width: int, config: ModelConfig) -> TextGuidedFusion:
    return TextGuidedFusion(width, ResNetWordReading(width, config.text_width, config.fusion_width, heads=8), nn.ReLU)


def _assemble(backbone: Backbone, fusions: list[TextGuidedFusion], context_fusion: TextGuidedFusion, config: ModelConfig) -> CMIRNet:
    """Put the parts that both forms share around a backbone; the ResNet form takes the wordless skips raw."""
    wordless = backbone.wordless
    raw_skips = wordless if backbone.form == "resnet" else 0
    skips = [*backbone.widths, backbone.widths[-1]]
    coarsest, width = skips[-1], config.fusion_width
    attends = [wordless <= level for level in range(len(skips))]
    reduced = [raw_skips <= level for level in range(len(skips))]
    reductions = [conv_bn_relu(skip, width) if reduce else nn.Identity() for skip, reduce in zip(skips, reduced, strict=True)]
    inputs = [width + (width if reduce else skip) for skip, reduce in zip(skips, reduced, strict=True)]
    levels = [DecoderLevel(total, width, attends=attend) for total, attend in zip(inputs, attends, strict=True)]
    return CMIRNet(
        stages=backbone.stages,
        fusions=[*([None] * wordless), *fusions],
        context=MultiScaleContext(coarsest),
        context_fusion=context_fusion,
        graph=GraphPositioning(coarsest, config.text_width, width, config.graph_neighbours, padding=config.graph_padding),
        decoder=AttentionDecoder(reductions[::-1], levels[::-1]),
        heads=[nn.Conv2d(width, 2, 3, padding=1) for _ in levels],
        beside=backbone.beside,
    )
