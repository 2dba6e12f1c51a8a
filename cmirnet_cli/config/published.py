"""The authors' training recipe for each family of backbones: the only home of the values that differ between Swin and ResNet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from cmirnet_cli.errors import ConfigError, did_you_mean

OwnBackbone: TypeAlias = Literal["resnet50", "resnet101", "swin-t", "swin-s", "swin-b", "swin-l", "resnet-nano", "swin-nano"]
"""The backbones that this package builds itself."""
Family: TypeAlias = Literal["swin", "resnet", "timm"]

TIMM = "timm/"
"""What the name of a backbone begins with that timm builds."""
_TIMM_NAME = re.compile(r"timm/\w+(\.[\w.-]+)?", re.ASCII)

IMAGE_SIZE = 480
"""Height and width in pixels that the published networks are trained and scored at."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What images of values from 0 to 1 are normalised with, per channel, whatever the backbone was trained with."""

IGNORED = 255
"""The label of a pixel that the loss leaves out."""

PUBLISHED: Mapping[str, Mapping[Literal["swin", "resnet"], Any]] = MappingProxyType(
    {
        "data.resize": {"swin": 480, "resnet": 520},
        "optimizer.lr": {"swin": 2e-5, "resnet": 5e-5},
        "schedule.warm_epochs": {"swin": 10, "resnet": 5},
        "schedule.warm_slope": {"swin": 0.05, "resnet": 0.12},
        "schedule.decay_start": {"swin": 0.5, "resnet": 0.4},
        "loop.batch_size": {"swin": 8, "resnet": 32},
        "loop.select": {"swin": "overall_iou", "resnet": "mean_iou"},
    }
)


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "resnet50": "resnet",
        "resnet101": "resnet",
        "swin-t": "swin",
        "swin-s": "swin",
        "swin-b": "swin",
        "swin-l": "swin",
        "resnet-nano": "resnet",
        "swin-nano": "swin",
    }
)
"""Backbone → which of the two published networks is built on it."""

IMAGENET: Mapping[str, str] = MappingProxyType(
    {
        "resnet50": "resnet50.tv_in1k",
        "resnet101": "resnet101.tv_in1k",
        "swin-t": "swin_tiny_patch4_window7_224.ms_in22k",
        "swin-s": "swin_small_patch4_window7_224.ms_in22k",
        "swin-b": "swin_base_patch4_window12_384.ms_in22k",
        "swin-l": "swin_large_patch4_window12_384.ms_in22k",
    }
)
"""Backbone → timm's name of the ImageNet weights that it starts from."""


def family(backbone: str) -> Family:
    """The family that a backbone belongs to; whether timm has the model of a name `timm/NAME`, `model/timm_backbone.py` asks timm.

    Raises:
        ConfigError: there is no such backbone; the hint names the nearest one or all of them.
    """
    if _TIMM_NAME.fullmatch(backbone):
        return "timm"
    if backbone not in FAMILIES:
        raise ConfigError(f"there is no backbone {backbone!r}", hint=did_you_mean(backbone, [*FAMILIES, "timm/NAME"]))
    return FAMILIES[backbone]


def recipe(backbone: str, image_size: int = IMAGE_SIZE) -> dict[str, Any]:
    """The published value of every setting that depends on the backbone, by dotted name. One of timm's gets what was published for Swin.

    At another image size the training images keep the published proportion to the crop (520 to 480 for ResNet).
    The nano backbones are ours and small: there are no ImageNet weights to start them from.

    Raises:
        ConfigError: there is no such backbone.
    """
    of: Literal["swin", "resnet"] = "resnet" if family(backbone) == "resnet" else "swin"
    values = {name: by_family[of] for name, by_family in PUBLISHED.items()}
    values["data.resize"] = round(values["data.resize"] * image_size / IMAGE_SIZE)
    values["loop.backbone_weights"] = "none" if backbone.endswith("-nano") else "imagenet"
    return values
