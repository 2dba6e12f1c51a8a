"""The authors' parameter names to ours, strict in both directions: the network, and the BERT beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from cmirnet_cli.config import ModelConfig, OwnBackbone
from cmirnet_cli.errors import WeightsError, listed
from cmirnet_cli.model.build import RESNET, SWIN, build_network
from cmirnet_cli.model.graph import HEADS

DEAD_SWIN = re.compile(r"Vis_backbone_TGMM\.(norm[0-3]\.(weight|bias)|layers\.\d+\.blocks\.\d+\.attn\.relative_position_index)")
RESNET_TWINS = {"conv1": "layer1.0", "bn1": "layer1.1", "layer1": "layer2.1", "layer2": "layer3", "layer3": "layer4", "layer4": "layer5"}
NETWORK, TEXT = "model", "bert_model"
"""The state dicts in an official checkpoint."""

SWINS: tuple[OwnBackbone, ...] = ("swin-b", "swin-l")
RESNETS: tuple[OwnBackbone, ...] = ("resnet50", "resnet101")
"""The published backbones: the width of its patch embedding shows which Swin it is, the blocks of its third stage which ResNet."""


@dataclass(frozen=True)
class Account:
    """What became of the entries of an official state dict, by name: each is in exactly one of the three."""

    used: tuple[str, ...]
    duplicate: tuple[str, ...]
    dead: tuple[str, ...]


@dataclass(frozen=True)
class ConvertedNetwork:
    """An official network as ours: what to build, its state dict, and what became of every official entry."""

    config: ModelConfig
    state: dict[str, Tensor]
    account: Account


def convert_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official `model` state dict as a state dict of our `CMIRNet`.

    Args:
        state: official parameter name → tensor (`torch.load(...)["model"]`); a leading `module.` is dropped.

    Raises:
        WeightsError: an entry is unknown, missing, of the wrong shape, or a duplicate that differs from its twin; names are listed.
    """
    return convert_network(state).state


def convert_network(state: Mapping[str, Tensor]) -> ConvertedNetwork:
    """As `convert_official`, with the network's settings and an account of the entries."""
    theirs = {name.removeprefix("module."): torch.as_tensor(value) for name, value in state.items()}
    config = recognise_official(theirs)
    with torch.device("meta"):
        expected = build_network(config).state_dict()
    sources = official_sources(config, expected)
    used = {name for names in sources.values() for name in names}
    refuse_entries("is missing entries", used - theirs.keys())
    misfits = [name for ours, names in sources.items() for name in names if not _fits(theirs[name], expected[ours], len(names))]
    refuse_entries("has entries of another shape than the network's", misfits)
    account = _account(theirs, used)
    return ConvertedNetwork(
        config, {ours: _join([theirs[name] for name in names], expected[ours]) for ours, names in sources.items()}, account
    )


def recognise_official(state: Mapping[str, Tensor]) -> ModelConfig:
    """Which published network an official state dict belongs to, by its names and widths.

    Raises:
        WeightsError: it belongs to none.
    """
    patch = state.get("Vis_backbone_TGMM.patch_embed.proj.weight")
    width = len(patch) if patch is not None and patch.ndim else 0
    depth = len({name.split(".")[1] for name in state if name.startswith("layer4.")})
    matches = [name for name in SWINS if SWIN[name].width == width] or [name for name in RESNETS if RESNET[name].depths[2] == depth]
    if matches:
        return ModelConfig(backbone=matches[0])
    raise WeightsError(
        "this is not a state dict of a published CMIRNet: neither a Swin-B/L patch embedding nor a ResNet-50/101 backbone is in it",
        hint="give the `model` entry of an official checkpoint",
    )


def official_sources(config: ModelConfig, names: Iterable[str]) -> dict[str, list[str]]:
    """Our parameter names → the official entries that make each of them up, in order."""
    prefixes = _prefixes(config)
    return {ours: _sources(ours, prefixes) for ours in names}


def _prefixes(config: ModelConfig) -> dict[str, str]:
    """Module path of ours → module path of theirs; what follows the path carries over."""
    shared = _graph() | _decoder(config)
    return shared | (_swin_backbone() if config.family == "swin" else _resnet_backbone())


def _swin_backbone() -> dict[str, str]:
    root = "Vis_backbone_TGMM"
    pairs = {"stages.0.down.embed": f"{root}.patch_embed"} | _context(f"{root}.aspp")
    for level in range(4):
        pairs[f"stages.{level}.blocks"] = f"{root}.layers.{level}.blocks"
    for level in range(3):
        pairs[f"stages.{level + 1}.down"] = f"{root}.layers.{level}.downsample"
        pairs |= _fusion(f"fusions.{level}", f"{root}.layers.{level + 1}.TGMM", sentence="W2", words="W3")
    return pairs | _fusion("context_fusion", f"{root}.TGMM_aspp", sentence="W2", words="W3")


def _resnet_backbone() -> dict[str, str]:
    pairs = {"stages.0.conv": "layer1.0", "stages.0.bn": "layer1.1", "stages.1.blocks": "layer2.1"} | _context("aspp")
    for level in range(3):
        pairs[f"stages.{level + 2}.blocks"] = f"layer{level + 3}"
        pairs |= _fusion(f"fusions.{level}", f"TGMM{level + 3}", sentence="W3", words="W2")
    return pairs | _fusion("context_fusion", "TGMM_aspp", sentence="W3", words="W2")


def _fusion(ours: str, theirs: str, *, sentence: str, words: str) -> dict[str, str]:
    """One TGMM. `W2` and `W3` change places between the two families, with equal shapes."""
    attention = f"{theirs}.image_lang_att"
    reading = {
        "query": "f_query.0",
        "key": "f_key.0",
        "value": "f_value.0",
        "word_value": "f_value2.0",
        "out": "W1.0",
        "new_sentence": f"{sentence}.0",
        "new_words": f"{words}.0",
        "sentence": "project_emb.0",
        "gamma": "gamma",
    }
    pairs = {f"{ours}.reading.{mine}": f"{attention}.{official}" for mine, official in reading.items()}
    return pairs | {f"{ours}.visual": f"{theirs}.vis_project", f"{ours}.merge": f"{theirs}.project_mm"}


def _context(theirs: str) -> dict[str, str]:
    return {"context.branches": f"{theirs}.convs", "context.mix": f"{theirs}.project"}


def _graph() -> dict[str, str]:
    return {
        "graph.visual_nodes": "gcn.conv_V",
        "graph.text_nodes": "gcn.conv_T.0",
        "graph.graph.edges": "gcn.CGI.graphconv.{head}.homoGR_feat.gconv.nn",
        "graph.graph.head_weights": "gcn.CGI.linear",
        "graph.reasoning.local": "gcn.IGR.conv",
        "graph.reasoning.qkv": "gcn.IGR.qkv",
        "graph.reasoning.out": "gcn.IGR.proj",
    }


def _decoder(config: ModelConfig) -> dict[str, str]:
    """The decoder and the heads; theirs number the levels from the finest (1) up and call the coarsest `aspp`."""
    names, raw = (["aspp", "4", "3", "2", "1"], 0) if config.family == "swin" else (["aspp", "5", "4", "3", "2", "1"], 2)
    pairs: dict[str, str] = {}
    for level, name in enumerate(names):
        block = "cmae.ConvBNRelu_aspp" if name == "aspp" else f"cmae.ConvBNRelu{name}"
        alone = level >= len(names) - raw
        fusion = f"cmae.fusion{name}"
        pairs |= {
            f"decoder.reductions.{level}": f"cmae.linear_x_{name}",
            f"decoder.levels.{level}.merge": block if alone else f"{block}_1",
            f"decoder.levels.{level}.refine": f"{block}_2",
            f"decoder.levels.{level}.attention.key": f"{fusion}.csa.w1.0",
            f"decoder.levels.{level}.attention.query": f"{fusion}.csa.w2.0",
            f"decoder.levels.{level}.attention.channel_key": f"{fusion}.cca.w1.0",
            f"decoder.levels.{level}.attention.channel_weights": f"{fusion}.cca.mlp",
            f"heads.{level}": f"conv_2_{name}",
        }
    return pairs


def _sources(ours: str, prefixes: Mapping[str, str]) -> list[str]:
    """The official entries that make up one of ours: one, or one per head of the graph step."""
    path = max((path for path in prefixes if ours == path or ours.startswith(f"{path}.")), key=len)
    theirs = prefixes[path] + ours.removeprefix(path)
    return [theirs.format(head=head) for head in range(HEADS)] if "{head}" in theirs else [theirs]


def _fits(part: Tensor, like: Tensor, parts: int) -> bool:
    """Whether an entry is one of `parts` equal shares of ours, along the output channels."""
    shape = (like.shape[0] // parts, *like.shape[1:]) if like.ndim else ()
    return tuple(part.shape) == shape or (like.ndim == 4 and (*part.shape, 1) == shape)


def _join(parts: list[Tensor], like: Tensor) -> Tensor:
    """Heads side by side along the output channels; a 1-D convolution over flattened positions becomes a 1×1 one."""
    value = torch.cat(parts) if len(parts) > 1 and parts[0].ndim else parts[0]
    return value.unsqueeze(-1) if value.ndim == 3 and like.ndim == 4 else value


def _account(state: Mapping[str, Tensor], used: set[str]) -> Account:
    """Sort the entries: used, known duplicate, known to be dead.

    Raises:
        WeightsError: an entry is not one of the three, or a duplicate differs from its twin.
    """
    dead = [name for name in state if DEAD_SWIN.fullmatch(name)]
    rest = state.keys() - used - set(dead)
    twins = {name: twin for name in rest if (twin := _twin(name)) in used}
    refuse_entries("has unknown entries", rest - twins.keys())
    refuse_entries(
        "has duplicates that differ from their twins", [n for n, twin in twins.items() if not torch.equal(state[n], state[twin])]
    )
    return Account(tuple(sorted(used)), tuple(sorted(twins)), tuple(sorted(dead)))


def _twin(name: str) -> str:
    """The entry that a ResNet checkpoint's `backbone.…` repeats, or an empty text."""
    if not name.startswith("backbone."):
        return ""
    module, _, rest = name.removeprefix("backbone.").partition(".")
    return f"{RESNET_TWINS[module]}.{rest}" if module in RESNET_TWINS else ""


def refuse_entries(what: str, names: Iterable[str], part: str = NETWORK) -> None:
    """Raise a `WeightsError` that lists entries which a part of an official checkpoint should not have, or lacks; nothing without any."""
    if entries := sorted(names):
        raise WeightsError(
            f"the official `{part}` state dict {what}: {listed(entries)}",
            hint=f"it must be the untouched `{part}` entry of a checkpoint of the authors' code",
        )


DEAD_TEXT = re.compile(r"pooler\.dense\.(weight|bias)|embeddings\.(position_ids|token_type_ids)")
"""The pooler, which nothing reads, and counters that older versions of transformers kept."""

HEAD_WIDTH = 64
"""Channels of one attention head in every published BERT; the shapes do not show it."""


@dataclass(frozen=True)
class ConvertedText:
    """An official text encoder: transformers' configuration, the state dict of the encoder, what became of every entry."""

    config: dict[str, Any]
    state: dict[str, Tensor]
    account: Account


def convert_text(state: Mapping[str, Tensor]) -> ConvertedText:
    """The official `bert_model` state dict as that of a BERT without pooler.

    Raises:
        WeightsError: an entry is unknown, missing or of a shape that does not fit the others; names are listed.
    """
    config = _configuration(state)
    with torch.device("meta"):
        expected = BertModel(config, add_pooling_layer=False).state_dict()
    dead = {name for name in state if DEAD_TEXT.fullmatch(name)}
    refuse_entries("is missing entries", expected.keys() - state.keys(), TEXT)
    refuse_entries("has unknown entries", state.keys() - expected.keys() - dead, TEXT)
    misfits = [name for name, like in expected.items() if state[name].shape != like.shape]
    refuse_entries("has entries of shapes that do not fit each other", misfits, TEXT)
    account = Account(used=tuple(sorted(expected)), duplicate=(), dead=tuple(sorted(dead)))
    return ConvertedText(config.to_dict(), {name: state[name] for name in expected}, account)


def _configuration(state: Mapping[str, Tensor]) -> BertConfig:
    """BERT's architecture: sizes from the shapes, all else as in every published BERT."""
    words, width = _rows_and_columns(state, "embeddings.word_embeddings.weight")
    positions, _ = _rows_and_columns(state, "embeddings.position_embeddings.weight")
    types, _ = _rows_and_columns(state, "embeddings.token_type_embeddings.weight")
    inner, _ = _rows_and_columns(state, "encoder.layer.0.intermediate.dense.weight")
    layers = {match[1] for name in state if (match := re.match(r"encoder\.layer\.(\d+)\.", name))}
    if width % HEAD_WIDTH:
        raise WeightsError(
            f"the official text encoder is {width} channels wide, which is not a multiple of {HEAD_WIDTH}",
            hint="only BERT encoders with attention heads of 64 channels can be converted",
        )
    return BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=len(layers),
        num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
    )


def _rows_and_columns(state: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    refuse_entries("is missing entries", {name} - state.keys(), TEXT)
    if state[name].ndim != 2:
        refuse_entries("has entries of shapes that do not fit each other", [name], TEXT)
    rows, columns = state[name].shape
    return rows, columns
