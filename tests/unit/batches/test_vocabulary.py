"""Expressions of which a tokenizer knows no word, with BERT's own vocabulary and with tokenizers of other kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.batches.vocabulary import knows_a_word

KNOWN = ["the red cup", "a", "7", "cup 🍎", "Tasse", "okapi", "naïve café", "the красная", "left-most man, 2nd row"]
UNKNOWN = ["🍎", "🍎 !!", "...", "красная чашка", "κόκκινο φλιτζάνι", "빨간 컵", "كأس أحمر", "כוס אדומה", "लाल कप", "ถ้วยสีแดง", "xqzk"]


@pytest.mark.parametrize("text", [*KNOWN, *UNKNOWN])
def test_berts_vocabulary_knows_latin_words_and_spells_other_scripts(minilm: Path, text: str):
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    assert knows_a_word(text, tokenizer(text).encodings[0], tokenizer.unk_token_id) == (text in KNOWN)


@pytest.mark.parametrize(("text", "known"), [("red cup", True), ("red plate", True), ("blue plate", False), ("🍎", False), ("...", False)])
def test_a_tokenizer_of_whole_words_knows_those_of_its_data(text: str, known: bool):
    tokenizer = word_tokenizer(["the red cup", "left person"])
    assert knows_a_word(text, tokenizer(text).encodings[0], tokenizer.unk_token_id) == known


def byte_tokenizer() -> Tokenizer:
    """One of the kind that has no unknown token: every byte is one, and a word is known once its bytes were merged."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "c"), ("u", "p"), ("Ġc", "up")]
    vocabulary = {piece: number for number, piece in enumerate([*letters, *("".join(pair) for pair in merges)])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    return tokenizer


@pytest.mark.parametrize(("text", "known"), [("cup", True), ("a cup", True), ("чашка", False), ("🍎", False), ("лев cup", True)])
def test_a_tokenizer_of_bytes_knows_what_it_merged(text: str, known: bool):
    assert knows_a_word(text, byte_tokenizer().encode(text), None) == known


@pytest.mark.parametrize(("text", "known"), [("red cup", True), ("🍎", False), ("чашка", False)])
def test_a_unigram_tokenizer_has_an_unknown_piece(text: str, known: bool):
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁red", -1.0), ("▁cup", -1.0), ("▁", -3.0)], 0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    assert knows_a_word(text, tokenizer.encode(text), 0) == known


def test_an_ideograph_is_a_word_by_itself():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "红": 1, "##色": 2, "##杯": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert knows_a_word("红色杯", tokenizer.encode("红色杯"), 0)
    assert not knows_a_word("绿", tokenizer.encode("绿"), 0)
