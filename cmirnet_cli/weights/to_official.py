"""Our parameter names back to the authors': a checkpoint for their scripts, with every entry that theirs hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
from timm.models.swin_transformer import get_relative_position_index
from torch import Tensor

from cmirnet_cli.config import ModelConfig, Settings
from cmirnet_cli.errors import ExportError
from cmirnet_cli.model.build import SWIN
from cmirnet_cli.weights.bundle import Bundle
from cmirnet_cli.weights.folder import BundleConfig
from cmirnet_cli.weights.official import NETWORK, RESNET_TWINS, RESNETS, SWINS, TEXT, official_sources

_FLAT = re.compile(r"(.*\.)?(TGMM\w*\.(vis_project|image_lang_att|project_mm)|gcn\.conv_T|cmae\.fusion\w+)\..+")
"""Modules whose convolutions the authors write over flattened positions, without a second kernel side."""
_TRAINING_ONLY = {"drop_path"}


def official_checkpoint(bundle: Bundle) -> dict[str, dict[str, Tensor]]:
    """A model as the content of an official checkpoint: `model` and `bert_model`.

    Entries that no network reads are as a new network has them: BERT's pooler is zero. The numbers share their memory with the model's.

    Raises:
        ExportError: the authors' scripts have no such model; every setting that differs is named.
    """
    require_published(bundle.config)
    state = bundle.model.state_dict()

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}

    return {NETWORK: official_network(bundle.config.model, part("network.")), TEXT: _official_text(part("text.encoder."))}


def require_published(config: BundleConfig) -> None:
    """Refuse what the authors' scripts cannot run.

    Raises:
        ExportError: a setting of the model differs from the published ones, or its text encoder is not BERT.
    """
    published = Settings(model=ModelConfig(backbone=config.model.backbone))
    expected = {"tokens": published.text.tokens, "image_size": published.data.image_size}
    ours, theirs = (model.model_dump(exclude=_TRAINING_ONLY) for model in (config.model, published.model))
    pairs = [(f"model.{name}", ours[name], theirs[name]) for name in ours]
    pairs += [(name, getattr(config, name), value) for name, value in expected.items()]
    pairs += [("text encoder", config.encoder.get("model_type"), "bert")]
    differ = [f"{name} is {here}, not {there}" for name, here, there in pairs if here != there]
    if config.model.backbone not in (*SWINS, *RESNETS):
        differ.insert(0, f"model.backbone is {config.model.backbone}, not one of {', '.join((*SWINS, *RESNETS))}")
    if differ:
        raise ExportError(
            f"the authors' scripts run published settings only: {'; '.join(differ)}",
            hint="export to another format, or train with the published settings",
        )


def official_network(config: ModelConfig, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our network's state dict under the official names; the inverse of `convert_official`, with the entries that nothing reads.

    Args:
        config: of a published network.
        state: parameter name → tensor.
    """
    official: dict[str, Tensor] = {}
    for ours, theirs in official_sources(config, state).items():
        shares = state[ours].chunk(len(theirs)) if state[ours].ndim else [state[ours]] * len(theirs)
        for name, share in zip(theirs, shares, strict=True):
            official[name] = share.squeeze(-1) if share.ndim == 4 and _FLAT.fullmatch(name) else share
    official |= dict(_swin_extras(config) if config.family == "swin" else _resnet_copies(official))
    return {name: value.contiguous() for name, value in official.items()}


def _resnet_copies(official: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The backbone a second time, under the names that torchvision gives it."""
    for copy, original in RESNET_TWINS.items():
        for name, value in official.items():
            if name.startswith(f"{original}."):
                yield f"backbone.{copy}{name.removeprefix(original)}", value


def _swin_extras(config: ModelConfig) -> Iterator[tuple[str, Tensor]]:
    """The index of every window, and the norms that nothing reads, as they start."""
    swin, root = SWIN[config.backbone], "Vis_backbone_TGMM"
    index = get_relative_position_index(swin.window, swin.window)
    for stage, (depth, channels) in enumerate(zip(swin.depths, swin.channels, strict=True)):
        yield f"{root}.norm{stage}.weight", torch.ones(channels)
        yield f"{root}.norm{stage}.bias", torch.zeros(channels)
        for block in range(depth):
            yield f"{root}.layers.{stage}.blocks.{block}.attn.relative_position_index", index


def _official_text(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """BERT's state dict with its pooler, which the authors' ResNet script insists on and nothing reads."""
    width = state["embeddings.word_embeddings.weight"].shape[1]
    return {**state, "pooler.dense.weight": torch.zeros(width, width), "pooler.dense.bias": torch.zeros(width)}
