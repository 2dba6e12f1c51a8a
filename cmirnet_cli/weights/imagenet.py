"""ImageNet starting points for the visual backbone: timm's from the hub; timm's, torchvision's and the Swin authors' from files."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import timm
from torch import Tensor

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.config.published import IMAGE_SIZE, IMAGENET
from cmirnet_cli.errors import WeightsError, first_line
from cmirnet_cli.hub import if_it_answers, require_fetchable
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.weights.backbone_file import read_backbone
from cmirnet_cli.weights.check import BACKBONE_STARTS, imagenet_weights
from cmirnet_cli.weights.folder import UNREADABLE
from cmirnet_cli.weights.timm_weights import BackboneReport, from_file, holds_part_of, load_timm, pretrained

_SWIN_NAMES = [
    (re.compile(r"patch_embed\."), r"0.down.embed."),
    (re.compile(r"layers\.(\d+)\.downsample\."), r"\1.down."),
    (re.compile(r"layers\.(\d+)\.blocks\."), r"\1.blocks."),
]
_RESNET_NAMES = [
    (re.compile(r"conv1\."), "0.conv."),
    (re.compile(r"bn1\."), "0.bn."),
    (re.compile(r"layer(\d)\."), r"\1.blocks."),
]
_IGNORED = {
    "swin": re.compile(r"(norm\d?|head)\..+|layers\.\d+\.blocks\.\d+\.(attn\.relative_position_index|attn_mask)"),
    "resnet": re.compile(r"fc\..+"),
}
"""The classifier or a detector's norms, and index tables that the network makes itself."""

_MERGING_AT_THE_END = "layers.0.downsample.reduction.weight"


def load_start(network: CMIRNet, config: ModelConfig, start: str, image_size: int = IMAGE_SIZE) -> BackboneReport | None:
    """Bring the backbone to its starting point; None where nothing was loaded.

    Args:
        network: whose backbone to fill.
        config: what the network was built from.
        start: `imagenet` (timm's weights, fetched from the hub unless a local copy exists), `none`, or a file that `read_backbone`
            reads, with the names of timm, torchvision or the Swin authors.
        image_size: side in pixels of the images that the network was built for.

    Raises:
        WeightsError: there are no such weights for this backbone, they cannot be fetched or read, or they are another backbone's.
    """
    if start == "none":
        return None
    side = int(getattr(network.stages[0], "side", image_size))
    if start == "imagenet" and config.family == "timm":
        return load_timm(network, config.backbone, pretrained(config.backbone, side))
    if start == "imagenet":
        return load_backbone(network, _pretrained(config), config)
    path = Path(start).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"unknown starting point {start!r} for the backbone: {'it is a folder' if path.is_dir() else 'there is no such file'}",
            hint=BACKBONE_STARTS,
        )
    if config.family == "timm":
        held = read_backbone(path, holds_part_of(network))
        report = load_timm(network, config.backbone, from_file(config.backbone, side, held.state))
        return replace(report, ignored=(*report.ignored, *held.others), place=held.place)
    expected = network.stages.state_dict().keys()
    found = read_backbone(path, lambda name: _our_name(name, config, shift=0) in expected)
    report = load_backbone(network, found.state, config)
    return replace(report, ignored=(*report.ignored, *found.others), place=found.place)


def load_backbone(network: CMIRNet, state: Mapping[str, Tensor], config: ModelConfig) -> BackboneReport:
    """Load a classifier's backbone into the stages, strictly; names are timm's, torchvision's or the Swin authors' own.

    The Swin authors keep patch merging at the end of a stage, timm at the start of the next. All three concatenate the four
    neighbours in one order, (0,0), (1,0), (0,1), (1,1) as (row, column), so that the numbers go over as they are.

    Raises:
        WeightsError: an entry of the backbone is missing, unknown or of another shape.
    """
    ignored = {name for name in state if _IGNORED[config.family].fullmatch(name)}
    shift = int(_MERGING_AT_THE_END in state)
    backbone = {_our_name(name, config, shift): value for name, value in state.items() if name not in ignored}
    expected = network.stages.state_dict()
    _require_same_windows(backbone, expected, config)
    try:
        network.stages.load_state_dict(backbone, strict=True)
    except RuntimeError as error:
        reason = textwrap.shorten(str(error), 240)
        raise WeightsError(f"the backbone's weights do not fit {config.backbone}: {reason}", hint="they must be of one backbone") from error
    return BackboneReport(tuple(sorted(state.keys() - ignored)), tuple(sorted(ignored)), tuple(sorted(expected.keys() - backbone.keys())))


def _pretrained(config: ModelConfig) -> Mapping[str, Tensor]:
    require_fetchable(imagenet_weights(config.backbone))
    name = IMAGENET[config.backbone]
    try:
        with if_it_answers():
            state: Mapping[str, Tensor] = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except UNREADABLE as error:
        raise WeightsError(
            f"the ImageNet weights {name} cannot be fetched: {first_line(error)}",
            hint="run once where the hub can be reached, give a file with --backbone-weights FILE, or start from scratch with "
            "--backbone-weights none",
        ) from error
    return state


def _require_same_windows(backbone: Mapping[str, Tensor], expected: Mapping[str, Tensor], config: ModelConfig) -> None:
    """A window of side w has (2w - 1)² relative positions, a row of the table for each."""
    tables = [name for name in backbone.keys() & expected.keys() if name.endswith("position_bias_table") and backbone[name].ndim == 2]
    theirs, ours = ({(math.isqrt(len(state[name])) + 1) // 2 for name in tables} for state in (backbone, expected))
    if theirs != ours:
        sides = [" and ".join(map(str, sorted(each))) for each in (theirs, ours)]
        raise WeightsError(
            f"the backbone's weights do not fit {config.backbone}: they are of a Swin with window {sides[0]}, {config.backbone} has "
            f"window {sides[1]}",
            hint=f"use weights that were trained with window {sides[1]}; the file's name usually says it, as in `window{sides[1]}`",
        )


def _our_name(name: str, config: ModelConfig, shift: int) -> str:
    if shift and name.startswith("layers.") and ".downsample." in name:
        _, stage, rest = name.split(".", 2)
        name = f"layers.{int(stage) + shift}.{rest}"
    for pattern, ours in _SWIN_NAMES if config.family == "swin" else _RESNET_NAMES:
        if pattern.match(name):
            return pattern.sub(ours, name, count=1)
    return name
