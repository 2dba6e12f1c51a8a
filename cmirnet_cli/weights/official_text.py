"""The authors' text encoder: a BERT under transformers' own names, its architecture told from the shapes of its entries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.official import TEXT, Account, refuse_entries

DEAD = re.compile(r"pooler\.dense\.(weight|bias)|embeddings\.(position_ids|token_type_ids)")
"""The pooler, which nothing reads, and counters that older versions of transformers kept."""

HEAD_WIDTH = 64
"""Channels of one attention head in every published BERT; the shapes do not tell it."""


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
    dead = {name for name in state if DEAD.fullmatch(name)}
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
            f"the official text encoder is {width} channels wide, which is no multiple of {HEAD_WIDTH}",
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
