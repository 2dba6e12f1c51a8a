"""From settings to a network: the only place that knows widths, depths and timm's names."""

from __future__ import annotations

from dataclasses import dataclass

from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.context import MultiScaleContext, conv_bn_relu
from cmirnet_cli.model.decoder import AttentionDecoder, DecoderLevel
from cmirnet_cli.model.fusion import ResNetWordReading, SwinWordReading, TextGuidedFusion
from cmirnet_cli.model.graph import GraphPositioning
from cmirnet_cli.model.vision import resnet_stages, swin_stages


@dataclass(frozen=True)
class SwinVariant:
    """A Swin backbone: width of the first stage, blocks and heads per stage, window side, timm's name of its ImageNet weights."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    imagenet: str | None = None

    @property
    def channels(self) -> list[int]:
        """Width of every stage's map, finest first."""
        return [self.width * 2**level for level in range(len(self.depths))]


@dataclass(frozen=True)
class ResNetVariant:
    """A ResNet backbone: blocks and planes per residual stage, stem form and width, timm's name of its ImageNet weights."""

    block: type[BasicBlock | Bottleneck]
    depths: tuple[int, ...]
    planes: tuple[int, ...] = (64, 128, 256, 512)
    stem_type: str = ""
    stem_width: int = 32
    imagenet: str | None = None

    @property
    def channels(self) -> list[int]:
        """Width of every stage's map, finest first, the stem's included."""
        stem = 2 * self.stem_width
        return [stem, *(planes * self.block.expansion for planes in self.planes)]


SWIN = {
    "swin-nano": SwinVariant(32, (2, 2, 2, 2), (1, 2, 4, 8), 6),
    "swin-t": SwinVariant(96, (2, 2, 6, 2), (3, 6, 12, 24), 7, "swin_tiny_patch4_window7_224.ms_in22k"),
    "swin-s": SwinVariant(96, (2, 2, 18, 2), (3, 6, 12, 24), 7, "swin_small_patch4_window7_224.ms_in22k"),
    "swin-b": SwinVariant(128, (2, 2, 18, 2), (4, 8, 16, 32), 12, "swin_base_patch4_window12_384.ms_in22k"),
    "swin-l": SwinVariant(192, (2, 2, 18, 2), (6, 12, 24, 48), 12, "swin_large_patch4_window12_384.ms_in22k"),
}
RESNET = {
    "resnet-nano": ResNetVariant(BasicBlock, (1, 1, 1, 1), (64, 128, 256, 256), stem_type="deep", stem_width=16),
    "resnet50": ResNetVariant(Bottleneck, (3, 4, 6, 3), imagenet="resnet50.tv_in1k"),
    "resnet101": ResNetVariant(Bottleneck, (3, 4, 23, 3), imagenet="resnet101.tv_in1k"),
}


def build_network(config: ModelConfig) -> CMIRNet:
    """A CMIRNet with random weights, in train mode."""
    return _build_swin(SWIN[config.backbone], config) if config.family == "swin" else _build_resnet(RESNET[config.backbone], config)


def _build_swin(variant: SwinVariant, config: ModelConfig) -> CMIRNet:
    channels = variant.channels

    def fusion(width: int, heads: int) -> TextGuidedFusion:
        return TextGuidedFusion(width, SwinWordReading(width, config.text_width, config.fusion_width, heads), nn.GELU)

    stages = swin_stages(variant.width, variant.depths, variant.heads, variant.window, config.drop_path)
    fusions = [None, *(fusion(width, heads=1) for width in channels[1:])]
    return _assemble(stages, fusions, fusion(channels[-1], heads=8), [*channels, channels[-1]], config, raw_skips=0)


def _build_resnet(variant: ResNetVariant, config: ModelConfig) -> CMIRNet:
    channels = variant.channels

    def fusion(width: int) -> TextGuidedFusion:
        return TextGuidedFusion(width, ResNetWordReading(width, config.text_width, config.fusion_width, heads=8), nn.ReLU)

    stem = {"stem_type": variant.stem_type, "stem_width": variant.stem_width}
    backbone = ResNet(variant.block, variant.depths, channels=variant.planes, zero_init_last=False, **stem)
    fusions = [None, None, *(fusion(width) for width in channels[2:])]
    return _assemble(resnet_stages(backbone), fusions, fusion(channels[-1]), [*channels, channels[-1]], config, raw_skips=2)


def _assemble(
    stages: list[nn.Module],
    fusions: list[TextGuidedFusion | None],
    context_fusion: TextGuidedFusion,
    skips: list[int],
    config: ModelConfig,
    raw_skips: int,
) -> CMIRNet:
    """Put the parts that both families share around a backbone; `skips` are the skip widths, of which the finest may go in raw."""
    coarsest, width = skips[-1], config.fusion_width
    attends = [*(fusion is not None for fusion in fusions), True]
    reduced = [raw_skips <= level for level in range(len(skips))]
    reductions = [conv_bn_relu(skip, width) if reduce else nn.Identity() for skip, reduce in zip(skips, reduced, strict=True)]
    inputs = [width + (width if reduce else skip) for skip, reduce in zip(skips, reduced, strict=True)]
    levels = [DecoderLevel(total, width, attends=attend) for total, attend in zip(inputs, attends, strict=True)]
    return CMIRNet(
        stages=stages,
        fusions=fusions,
        context=MultiScaleContext(coarsest),
        context_fusion=context_fusion,
        graph=GraphPositioning(coarsest, config.text_width, width, config.graph_neighbours, padding=config.graph_padding),
        decoder=AttentionDecoder(reductions[::-1], levels[::-1]),
        heads=[nn.Conv2d(width, 2, 3, padding=1) for _ in levels],
    )
