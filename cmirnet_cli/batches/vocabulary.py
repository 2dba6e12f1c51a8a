"""Whether a tokenizer knows any word of an expression; where it does not, a mask owes nothing to the expression.

A tokenizer says "unknown" of an emoji, or of a whole script. Other words it spells: BERT's has the letters of many scripts, and makes six
pieces of a Russian word of seven letters, which mean nothing to an English encoder. Such words count as unknown here, too.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding

LETTERS_PER_PIECE = 1.5
"""A word with fewer letters in a piece, on average, is spelt and not known."""


def knows_a_word(text: str, encoding: Encoding, unknown: int | None) -> bool:
    """Whether a tokenizer knows at least one word of a text.

    Args:
        text: the expression.
        encoding: what the tokenizer makes of it; special tokens do not count.
        unknown: the id of its token for what it does not know; None where it has none.
    """
    pieces: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for token, word, (start, end) in zip(encoding.ids, encoding.word_ids, encoding.offsets, strict=True):
        letters = "".join(letter for letter in text[start:end] if unicodedata.category(letter)[0] in "LNS")
        if word is not None and letters:
            pieces[word].append((token, letters))
    return any(_is_known(word, unknown) for word in pieces.values())


def _is_known(word: list[tuple[int, str]], unknown: int | None) -> bool:
    """Whether a word, as its pieces' ids and letters, is known."""
    known = [letters for token, letters in word if token != unknown]
    if len(word) == 1:
        return bool(known)
    return bool(known) and (sum(map(len, known)) >= LETTERS_PER_PIECE * len(known) or any(map(_is_ideograph, known)))


def _is_ideograph(piece: str) -> bool:
    """Whether a piece is a character that is a word, or nearly one, by itself."""
    return unicodedata.name(piece[0], "").startswith("CJK UNIFIED")
