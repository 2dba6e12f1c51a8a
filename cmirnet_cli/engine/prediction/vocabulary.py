"""What a tokenizer makes of expressions, without the network that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Protocol

from transformers import BatchEncoding, PreTrainedTokenizerBase

from cmirnet_cli.batches.vocabulary import knows_a_word


class ReadsExpressions(Protocol):
    """What knows how expressions are read."""

    @property
    def tokens(self) -> int:
        """How many tokens of an expression are read, its start and end marks included."""

    def too_long(self, expressions: Sequence[str]) -> list[str]:
        """Those expressions of which only the beginning is read."""

    def unknown(self, expressions: Sequence[str]) -> list[str]:
        """Those expressions of which the tokenizer knows no word."""


class Vocabulary:
    """A tokenizer of transformers, and how many tokens a network reads.

    Args:
        tokenizer: of the weights.
        tokens: of an expression, its start and end marks included.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, tokens: int) -> None:
        self.tokenizer = tokenizer
        self.tokens = tokens
        self.tokenising = Lock()  # tokenizers refuse to be used by two threads at once

    def too_long(self, expressions: Sequence[str]) -> list[str]:
        """Those expressions of which the network reads only the beginning, as they have more than `tokens` tokens."""
        with self.tokenising:
            lengths = [len(self.tokenizer.encode(text, add_special_tokens=True, verbose=False)) for text in expressions]
        return [text for text, length in zip(expressions, lengths, strict=True) if length > self.tokens]

    def unknown(self, expressions: Sequence[str]) -> list[str]:
        """Those expressions of which the tokenizer knows no word, such as an emoji: their masks owe nothing to them."""
        with self.tokenising:
            encoded = [self.tokenizer(text, verbose=False) for text in expressions]
        return [text for text, each in zip(expressions, encoded, strict=True) if not self._knows_a_word(text, each)]

    def _knows_a_word(self, text: str, encoded: BatchEncoding) -> bool:
        unknown: int | None = self.tokenizer.unk_token_id
        if encoded.encodings:
            return knows_a_word(text, encoded.encodings[0], unknown)
        return any(token != unknown for token in self.tokenizer.encode(text, add_special_tokens=False, verbose=False))  # one in Python
