"""The text encoder: any BERT-family model of transformers, as words and a sentence feature."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from transformers import PreTrainedModel

from cmirnet_cli.errors import ConfigError

FROZEN_LAYERS = 2


class TextEncoder(nn.Module):
    """Wraps a BERT-family encoder; what follows the last hidden state (the pooler) is dropped, as nothing reads it.

    Quirk kept: unless `dropout` is set, the encoder stays in eval mode while the rest trains.
    """

    def __init__(self, encoder: PreTrainedModel, *, dropout: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = dropout
        if hasattr(encoder, "pooler"):
            encoder.pooler = None

    def forward(self, ids: Tensor, keep: Tensor) -> Tensor:
        """Token ids int64 (B, T) and keep bool (B, T) to the last hidden state (B, T, D)."""
        hidden: Tensor = self.encoder(input_ids=ids, attention_mask=keep.long()).last_hidden_state
        return hidden

    def train(self, mode: bool = True) -> TextEncoder:
        """As `nn.Module.train`, but without dropout the encoder itself stays in eval mode."""
        super().train(mode)
        self.encoder.train(mode and self.dropout)
        return self

    def choose_trained(self, which: Literal["published", "all", "none"]) -> None:
        """Set `requires_grad`: `published` trains the encoder layers but the last two, and never the embeddings.

        Raises:
            ConfigError: nothing would be trained by `published`.
        """
        for name, parameter in self.encoder.named_parameters():
            parameter.requires_grad_(which == "all" or (which == "published" and self._published(name)))
        if which == "published" and not any(parameter.requires_grad for parameter in self.encoder.parameters()):
            found = f"text.train (published) trains nothing of an encoder of {self.encoder.config.num_hidden_layers} layers"
            raise ConfigError(found, hint="train the whole of it with --set text.train=all, or say --set text.train=none")

    def _published(self, name: str) -> bool:
        last = self.encoder.config.num_hidden_layers - FROZEN_LAYERS
        parts = name.split(".")
        return "layer" in parts and int(parts[parts.index("layer") + 1]) < last
