"""Any feature pyramid of timm's as a backbone: cut into stages where that can be done, else whole, with text fused beside it.

Legend: B batch, C channels, H × W grid, S side of the image in pixels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, cast

import timm
import torch
from timm.layers import Format, LayerNorm2d
from timm.models import FeatureInfo, FeatureListNet, PretrainedCfg
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.config.published import IMAGENET_MEAN, IMAGENET_STD, TIMM
from cmirnet_cli.errors import ConfigError, first_line
from cmirnet_cli.model.backbone import Backbone

FINEST, FIRST_WITH_TEXT, COARSEST = 4, 8, 32
"""Strides: of the finest map that is used, of the first that sees text, and of the coarsest that is used, as in the published Swin."""
PYRAMID = (4, 8, 16, 32)
"""Strides of the maps that are made for a transformer whose maps all have one stride."""

_REFUSED = (AssertionError, AttributeError, RuntimeError, TypeError, ValueError)
"""What timm raises for a model that gives no feature pyramid, or not for images of this size."""


def require_timm_model(backbone: str) -> str:
    """timm's own name of a backbone `timm/NAME`, once it is clear that timm has it.

    Raises:
        ConfigError: it has not; the hint names the nearest ones.
    """
    name = backbone.removeprefix(TIMM)
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        known = f"did you mean {' or '.join(TIMM + each for each in near)}?" if near else "timm.list_models() lists those that it has"
        raise ConfigError(f"timm {timm.__version__} has no model {architecture!r}", hint=known)
    tags = sorted(each.partition(".")[2] for each in timm.list_pretrained(f"{architecture}.*"))
    if tag and tag not in tags:
        known = f"it has {', '.join(TIMM + architecture + '.' + each for each in tags)}" if tags else f"use {TIMM}{architecture}"
        raise ConfigError(f"timm {timm.__version__} has no weights {tag!r} for {architecture}", hint=known)
    return name


def timm_backbone(backbone: str, image_size: int, drop_path: float) -> Backbone:
    """The backbone `timm/NAME` with random weights.

    Of its maps those at strides 4 to 32 are used; the ones from stride 8 on see text, as in the published Swin. A plain transformer,
    all of whose maps have one stride, gets a simple pyramid on top of its last map (Li et al., "Exploring plain vision transformer
    backbones for object detection", 2022).

    Args:
        backbone: the name.
        image_size: S; transformers with windows or position embeddings are built for it.
        drop_path: stochastic depth, where the model has any.

    Raises:
        ConfigError: timm has no such model, or it gives no feature pyramid for images of this size.
    """
    name = require_timm_model(backbone)
    features, side = _features(name, image_size, drop_path)
    channels, strides = _info(features).channels(), _info(features).reduction()
    source = pretrained_cfg(name)
    statistics = Renormalise(source.mean, source.std)
    if len(set(strides)) == 1:
        pyramid = SimplePyramid(channels[-1], strides[-1])
        trunk = Trunk(statistics, features, (len(strides) - 1,), side, pyramid)
        return Backbone((trunk,), pyramid.widths, PYRAMID, wordless=PYRAMID.index(FIRST_WITH_TEXT), form="swin", beside=True)
    last = {stride: level for level, stride in enumerate(strides) if FINEST <= stride <= COARSEST}  # of maps with one stride the last
    levels = sorted(last.values())
    widths, kept = tuple(channels[level] for level in levels), tuple(strides[level] for level in levels)
    wordless = sum(stride < FIRST_WITH_TEXT for stride in kept)
    if len(levels) - wordless < 2:
        raise ConfigError(
            f"{backbone} gives maps at the strides {', '.join(map(str, strides))}", hint="at least two at stride 8, 16 or 32 are required"
        )
    if not isinstance(features, FeatureListNet | EfficientNetFeatures | MobileNetV3Features):
        return Backbone((Trunk(statistics, features, tuple(levels), side),), widths, kept, wordless, form="swin", beside=True)
    ends = [_info(features).module_name()[level].replace(".", "_") for level in levels]
    return Backbone(tuple(_stages(statistics, features, ends)), widths, kept, wordless, form="swin")


def _features(name: str, image_size: int, drop_path: float) -> tuple[nn.Module, int]:
    """timm's feature extractor, and the side in pixels that its images are brought to: S, or the next multiple of its patches."""
    fixed = pretrained_cfg(name).fixed_input_size
    features = _created(name, {"drop_path_rate": drop_path} | ({"img_size": image_size} if fixed else {}))
    strides = _info(features).reduction()
    patch = strides[-1]
    if len(set(strides)) > 1 or image_size % patch == 0:
        return features, image_size
    side = math.ceil(image_size / patch) * patch
    return _created(name, {"drop_path_rate": drop_path, "img_size": side}), side


def pretrained_cfg(name: str) -> PretrainedCfg:
    """What timm says of a model's weights: statistics and image size; usual ones of a model that somebody registered without any."""
    return timm.get_pretrained_cfg(name) or PretrainedCfg()


def _info(features: nn.Module) -> FeatureInfo:
    return cast(FeatureInfo, features.feature_info)


def _created(name: str, options: Mapping[str, Any]) -> nn.Module:
    """timm's feature extractor, without those options that its kind of model does not have."""
    try:
        features: nn.Module = timm.create_model(name, pretrained=False, features_only=True, **options)
    except _REFUSED as problem:
        foreign = re.search(r"unexpected keyword argument(?:\(s\): \[)? ?'(\w+)'", str(problem))
        if foreign and foreign[1] in options:
            return _created(name, {option: value for option, value in options.items() if option != foreign[1]})
        size = f" for images of {options['img_size']} px" if "img_size" in options else ""
        hint = "choose a model that timm.create_model(NAME, features_only=True) builds, or another data.image_size"
        raise ConfigError(f"timm gives no feature pyramid of {name}{size}: {first_line(problem)}", hint=hint) from problem
    return features


def _stages(statistics: nn.Module, features: nn.Module, ends: list[str]) -> Iterator[nn.Module]:
    """The modules of a feature extractor in their order, cut behind each of the named ones; what follows the last is left out."""
    ends = list(ends)
    channels_last = getattr(features, "output_fmt", Format.NCHW) == Format.NHWC
    parts: dict[str, nn.Module] = {"statistics": statistics}
    for name, module in _in_a_row(features):
        parts[name] = module
        if name == ends[0]:
            yield TimmStage(parts, first="statistics" in parts, channels_last=channels_last)
            parts = {}
            if not (ends := ends[1:]):
                return


def _in_a_row(features: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """What the feature extractor runs, one after the other."""
    for name, module in features.named_children():
        if name == "blocks" and isinstance(module, nn.Sequential):  # EfficientNet's and MobileNet's
            yield from ((f"{name}_{number}", block) for number, block in enumerate(module))
        else:
            yield name, module


def write_attention_out(stage: nn.Module) -> None:
    """Have timm's attention computed in plain operators: the fused one is recorded with a layout in memory that other runtimes lack."""
    for module in stage.modules():
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", False)  # noqa: B010  (timm's attribute, which torch does not know)


class Renormalise(nn.Module):
    """Images normalised with ImageNet's usual statistics, (B, 3, H, W), as a backbone expects them that was trained with others."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        usual_mean, usual_std, mean_, std_ = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD, mean, std))
        self.same = (tuple(mean), tuple(std)) == (IMAGENET_MEAN, IMAGENET_STD)
        self.register_buffer("scale", usual_std / std_, persistent=False)
        self.register_buffer("shift", (usual_mean - mean_) / std_, persistent=False)

    scale: Tensor
    shift: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to the same."""
        return image if self.same else image * self.scale + self.shift


class TimmStage(nn.Module):
    """Modules of timm's, one after the other: (B, C, H, W) to (B, C', H', W'), whatever layout they have among themselves."""

    def __init__(self, parts: Mapping[str, nn.Module], *, first: bool, channels_last: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.first, self.channels_last = first, channels_last

    def forward(self, x: Tensor) -> Tensor:
        """The stage's map; the first stage takes the image."""
        if self.channels_last and not self.first:
            x = x.permute(0, 2, 3, 1)
        for part in self.parts.values():
            x = part(x)
        return x.permute(0, 3, 1, 2) if self.channels_last else x


class SimplePyramid(nn.Module):
    """Maps at the strides 4, 8, 16 and 32 from one map of a plain transformer: enlarged by transposed convolutions, or pooled.

    Args:
        width: C of the map.
        stride: of the map; one of 14 counts as 16.
    """

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        doublings = [round(math.log2(stride / target)) for target in PYRAMID]
        self.widths = tuple(width >> max(0, count) for count in doublings)
        self.levels = nn.ModuleList([self._level(width, count) for count in doublings])

    @staticmethod
    def _level(width: int, doublings: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for step in range(doublings):
            inner = width >> (step + 1)
            layers += [*([nn.GELU()] if step else []), nn.ConvTranspose2d(width >> step, inner, 2, stride=2), LayerNorm2d(inner)]
        if doublings < 0:
            layers.append(nn.MaxPool2d(2**-doublings))
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, H, W) to one map per stride, finest first."""
        return [level(x) for level in self.levels]


class Trunk(nn.Module):
    """A whole feature extractor: (B, 3, S, S) to all maps that are used, finest first.

    Args:
        statistics: what comes before it.
        features: timm's.
        levels: which of its maps are used.
        side: that square images are brought to.
        pyramid: what makes the maps out of the last one, where it is not `features` itself.
    """

    def __init__(
        self, statistics: nn.Module, features: nn.Module, levels: tuple[int, ...], side: int, pyramid: SimplePyramid | None = None
    ) -> None:
        super().__init__()
        self.statistics, self.features, self.pyramid = statistics, features, pyramid
        self.levels, self.side = levels, side

    def forward(self, image: Tensor) -> list[Tensor]:
        """All maps."""
        image = self.statistics(image)
        if self.pyramid is not None and image.shape[-1] != self.side:
            image = F.interpolate(image, size=(self.side, self.side), mode="bilinear", align_corners=False, antialias=True)
        maps: list[Tensor] = self.features(image)
        return [maps[level] for level in self.levels] if self.pyramid is None else self.pyramid(maps[-1])
