"""Text encoders and their tokenizers: from a hub id, from a local folder, or made from scratch; and what makes two of them the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedModel, PreTrainedTokenizerBase

from cmirnet_cli.config import TextConfig
from cmirnet_cli.errors import WeightsError, first_line
from cmirnet_cli.hub import if_it_answers
from cmirnet_cli.weights.folder import UNREADABLE

_FOREIGN_CODE = re.compile(r"auto_map|\w+_implementation(_internal)?")
"""Settings by which transformers fetches and runs code: modelling files, and kernels in place of its own attention."""

ELSEWHERE = (
    "give a local folder with --set text.source=FOLDER, run once where the hub can be reached, or try --preset smoke, which needs neither"
)
POSITION_SHARE = 0.3
"""Spread of the first position embeddings beside word embeddings of spread 1, in an encoder made from scratch."""
WORDS_GAIN = 4.0
"""How strongly the first layer of such an encoder adds what a token reads to the token."""


def load_encoder(source: str) -> PreTrainedModel:
    """A pretrained BERT-family encoder by hub id or local folder.

    Raises:
        WeightsError: it is not there, cannot be read, or cannot be fetched.
    """
    try:
        with _reachable(source):
            encoder: PreTrainedModel = AutoModel.from_pretrained(source, trust_remote_code=False)
    except UNREADABLE as error:
        raise _unavailable("text encoder", source, error, ELSEWHERE) from error
    return encoder


def load_tokenizer(source: str, hint: str = ELSEWHERE) -> PreTrainedTokenizerBase:
    """The tokenizer that belongs to an encoder, by hub id or local folder.

    Args:
        source: hub id or folder.
        hint: what to do if it cannot be loaded.

    Raises:
        WeightsError: it is not there, cannot be read, or cannot be fetched.
    """
    try:
        with _reachable(source):
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except UNREADABLE as error:
        raise _unavailable("tokenizer", source, error, hint) from error
    return tokenizer


def _reachable(source: str) -> AbstractContextManager[None]:
    """Within it, libraries do not wait for a hub that does not answer; for a local folder nobody is asked."""
    return nullcontext() if Path(source).is_dir() else if_it_answers()


def scratch_encoder(text: TextConfig, width: int, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A small BERT with random weights for a tokenizer's vocabulary, started so that it can learn quickly."""
    config = scratch_config(text, width, len(tokenizer))
    encoder = BertModel(config, add_pooling_layer=False)
    _start_as_bag_of_words(encoder, tokenizer.cls_token_id)
    return encoder


def scratch_config(text: TextConfig, width: int, words: int) -> BertConfig:
    """The architecture of a small BERT that gives `width` channels and knows so many words."""
    return BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=text.scratch_layers,
        num_attention_heads=text.scratch_heads,
        intermediate_size=4 * width,
        max_position_embeddings=text.tokens,
    )


@torch.no_grad()
def _start_as_bag_of_words(encoder: PreTrainedModel, start: int) -> None:
    """Set the first layer so that every word reads itself and `[CLS]` (token `start`) reads all words evenly.

    With BERT's own start the state at `[CLS]` is the same for every sentence (under a thousandth of it varies at 96 channels),
    and a network trained beside it needs hundreds of steps before words mean anything to it.
    """
    embeddings, attention = encoder.embeddings, encoder.encoder.layer[0].attention
    words, positions = embeddings.word_embeddings.weight, embeddings.position_embeddings.weight
    nn.init.normal_(words)
    nn.init.normal_(positions, std=POSITION_SHARE)
    nn.init.zeros_(embeddings.token_type_embeddings.weight)
    first = nn.functional.normalize(embeddings.LayerNorm(words[start] + positions[0]), dim=0)
    without_first = torch.eye(len(first)) - torch.outer(first, first)
    for similarity in (attention.self.query.weight, attention.self.key.weight):
        similarity.copy_(without_first)
    nn.init.eye_(attention.self.value.weight)
    nn.init.eye_(attention.output.dense.weight).mul_(WORDS_GAIN)


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


def _unavailable(what: str, source: str, error: Exception, hint: str) -> WeightsError:
    return WeightsError(f"the {what} {source!r} cannot be loaded: {first_line(error)}", hint=hint)


_UNSEEN = ("model_type", "hidden_act", "activation", "layer_norm_eps", "num_attention_heads", "n_heads", "num_hidden_layers")
"""Settings that change what an encoder computes and that names and shapes of its weights do not show."""
_PASSING = ("truncation", "padding", "version")
"""Parts of a tokenizer's definition that say how it was last called, or who wrote it down."""


def encoder_fingerprint(encoder: PreTrainedModel) -> str:
    """Sha256 over every weight of a text encoder and the settings that its output depends on, as hexadecimal text."""
    settings = encoder.config.to_dict()
    digest = hashlib.sha256(_text({name: settings.get(name) for name in _UNSEEN}))
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Sha256 over a tokenizer's rules and vocabulary, as hexadecimal text.

    Raises:
        WeightsError: it is made of Python code, which cannot be compared.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        kind = type(tokenizer).__name__
        raise WeightsError(f"the tokenizer {kind} has no definition that can be compared", hint="train without text features")
    definition = json.loads(backend.to_str())
    return hashlib.sha256(_text({name: value for name, value in definition.items() if name not in _PASSING})).hexdigest()


def _text(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
