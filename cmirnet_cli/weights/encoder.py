"""Text encoders and their tokenizers: from a hub id, from a local folder, or made from scratch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedModel, PreTrainedTokenizerBase

from cmirnet_cli.config import TextConfig
from cmirnet_cli.errors import WeightsError

_FOREIGN_CODE = re.compile(r"auto_map|\w+_implementation(_internal)?")
"""Settings by which transformers fetches and runs code: modelling files, and kernels in place of its own attention."""


def load_encoder(source: str) -> PreTrainedModel:
    """A pretrained BERT-family encoder by hub id or local folder.

    Raises:
        WeightsError: it is not there, cannot be read, or cannot be fetched.
    """
    try:
        encoder: PreTrainedModel = AutoModel.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise _unavailable("text encoder", source, error) from error
    return encoder


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """The tokenizer that belongs to an encoder, by hub id or local folder.

    Raises:
        WeightsError: it is not there, cannot be read, or cannot be fetched.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise _unavailable("tokenizer", source, error) from error
    return tokenizer


def scratch_encoder(text: TextConfig, width: int, vocabulary: int) -> PreTrainedModel:
    """A small BERT with random weights for a vocabulary of the given size.

    BERT's own spread of initial weights (0.02) suits 768 channels; at a tenth of that width no word would reach `[CLS]` at first.
    """
    return BertModel(
        BertConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=text.scratch_layers,
            num_attention_heads=text.scratch_heads,
            intermediate_size=4 * width,
            max_position_embeddings=text.tokens,
            initializer_range=2 * width**-0.5,
        ),
        add_pooling_layer=False,
    )


def encoder_from_config(config: Mapping[str, Any]) -> PreTrainedModel:
    """An encoder of the recorded architecture, its weights still to be loaded.

    Raises:
        WeightsError: transformers does not know the architecture, or the configuration asks for code from elsewhere.
    """
    settings = dict(config)
    foreign = [name for name in _keys(settings) if _FOREIGN_CODE.fullmatch(name)]
    if foreign:
        raise WeightsError(
            f"config.json asks for code that may come from elsewhere: {', '.join(foreign)}",
            hint="weights hold no code; get them from where they were trained",
        )
    try:
        encoder: PreTrainedModel = AutoModel.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings))
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"config.json describes a text encoder that cannot be built: {error}", hint="the file was changed or damaged"
        ) from error
    return encoder


def _keys(config: Mapping[str, Any]) -> Iterator[str]:
    for name, value in config.items():
        yield str(name)
        if isinstance(value, Mapping):
            yield from _keys(value)


def _unavailable(what: str, source: str, error: Exception) -> WeightsError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return WeightsError(
        f"the {what} {source!r} cannot be loaded: {reason}",
        hint="give a local folder with --set text.source=FOLDER, or run once where the hub can be reached",
    )
