"""The text encoder: any model of transformers that has a last hidden state, as words and a sentence.

Legend: B batch, T tokens (padding, which comes last, included), D text width.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import transformers
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForTextEncoding, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from cmirnet_cli.errors import ConfigError

FROZEN_LAYERS = 2
SentencePlace: TypeAlias = Literal["cls", "eos", "mean"]
"""Where the sentence is read: at the first token, at the last real one, or as the mean of the real ones."""
UNREAD = ("pooler", "head")
"""What some encoders have behind the last hidden state, where nothing reads it."""


class TextEncoder(nn.Module):
    """Wraps an encoder; what follows the last hidden state (the pooler) is dropped, as nothing reads it.

    Quirk kept: unless `dropout` is set, the encoder stays in eval mode while the rest trains.

    Args:
        encoder: of transformers.
        dropout: whether its dropout is on while the rest trains.
        sentence: where the sentence is read in its words.
    """

    def __init__(self, encoder: PreTrainedModel, *, dropout: bool = False, sentence: SentencePlace = "cls") -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = dropout
        self.sentence: SentencePlace = sentence
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
        """Set `requires_grad`: `published` trains the encoder's layers but the last two, and nothing else of it (no embeddings).

        Raises:
            ConfigError: nothing would be trained by `published`.
        """
        layers = self._layers()
        published = {id(parameter) for layer in layers[:-FROZEN_LAYERS] for parameter in layer.parameters()}
        for name, parameter in self.encoder.named_parameters():
            read = not any(part in UNREAD for part in name.split("."))
            parameter.requires_grad_((which == "all" and read) or (which == "published" and id(parameter) in published))
        if which == "published" and not published:
            found = f"text.train (published) trains nothing of an encoder of {self.encoder.config.num_hidden_layers} layers"
            raise ConfigError(found, hint="train the whole of it with --set text.train=all, or say --set text.train=none")

    def _layers(self) -> list[nn.Module]:
        """The encoder's layers, first to last; none where they share their weights."""
        depth = self.encoder.config.num_hidden_layers
        lists = [module for module in self.encoder.modules() if isinstance(module, nn.ModuleList)]
        return list(next((layers for layers in lists if len(layers) == depth), nn.ModuleList()))


def sentence_of(words: Tensor, keep: Tensor, place: SentencePlace) -> Tensor:
    """The sentence (B, D) in its words (B, T, D), of which those that keep (B, T) names are real."""
    if place == "cls":
        return words[:, 0]
    if place == "eos":
        last = keep.long().sum(dim=1) - 1
        return words.gather(1, last.view(-1, 1, 1).expand(-1, 1, words.shape[2])).squeeze(1)
    real = keep.unsqueeze(-1).to(words.dtype)
    return (words * real).sum(dim=1) / real.sum(dim=1)


def usual_place(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> SentencePlace:
    """Where an encoder keeps what it makes of the whole sentence, as far as its tokenizer and its kind tell.

    At a class token where the tokenizer puts one; the mean where the encoder is half of a translator, such as T5's; else at the last
    token, where the text towers of CLIP and SigLIP, and causal models, have read everything.
    """
    ids, start = tokenizer.encode("a", add_special_tokens=True, verbose=False), tokenizer.cls_token_id
    if start is not None and start in ids:
        return "cls" if ids[0] == start else "eos"
    return "mean" if "Encoder" in type(encoder).__name__ else "eos"


def most_tokens(encoder: PreTrainedModel) -> int | None:
    """How many tokens an encoder can read; None: as many as there are."""
    positions = getattr(encoder.config, "max_position_embeddings", None)
    tables = [module for name, module in encoder.named_modules() if name.endswith("position_embeddings")]
    first = [table.padding_idx + 1 for table in tables if getattr(table, "padding_idx", None) is not None]  # RoBERTa counts from there
    return None if not positions or positions < 0 else int(positions) - (first[0] if first else 0)


def tower(config: PreTrainedConfig) -> tuple[type[PreTrainedModel], PreTrainedConfig]:
    """The class of transformers' that builds the text encoder of a configuration, and the configuration that it takes.

    Of a model of images and texts that is its text tower, of one that translates its encoder.

    Raises:
        ValueError: transformers has none.
    """
    own = getattr(config, "text_config", None) or config
    for known in (AutoModelForTextEncoding._model_mapping, AutoModel._model_mapping):
        if type(own) in known:
            return known[type(own)], own
    made = getattr(transformers, type(own).__name__.replace("Config", "Model"), None)  # such as SigLIP's
    if made is None:
        raise ValueError(f"transformers has no text encoder of the kind {own.model_type}")
    return made, own
