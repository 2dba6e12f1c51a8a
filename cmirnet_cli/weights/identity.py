"""What makes two text encoders, or two tokenizers, the same one, whichever road they came by."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cmirnet_cli.errors import WeightsError

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
        digest.update(_bytes(tensor))
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


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
