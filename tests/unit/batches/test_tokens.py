"""Expressions to ids, against BERT's own tokenizer and by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import tokenise, word_tokenizer

LONG = "the very tall and quite old brown giraffe that stands on the left side behind the tree and eats from it slowly"
CLS, SEP = 101, 102


@pytest.fixture(scope="module")
def bert(minilm: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(minilm)


def test_short_expression_is_padded_with_zeros_as_berts_tokenizer_pads(bert: PreTrainedTokenizerBase):
    texts = ["the red cup", "left", "a giraffe, eating (leaves) from a tree!", ""]
    expected = bert(texts, padding="max_length", max_length=20)
    tokens = tokenise(bert, texts, 20)
    assert tokens.ids.tolist() == expected["input_ids"]
    assert tokens.keep.int().tolist() == expected["attention_mask"]


def test_long_expression_is_cut_to_its_first_ids_and_loses_its_end_mark(bert: PreTrainedTokenizerBase):
    tokens = tokenise(bert, [LONG], 20)
    assert tokens.ids[0].tolist() == bert.encode(LONG)[:20]
    assert tokens.ids[0, 0] == CLS
    assert SEP not in tokens.ids
    assert tokens.keep.all()


def test_expression_of_exactly_twenty_ids_keeps_its_end_mark(bert: PreTrainedTokenizerBase):
    tokens = tokenise(bert, [" ".join(["cup"] * 18)], 20)
    assert tokens.ids[0, -1] == SEP


def test_row_does_not_depend_on_the_other_rows(bert: PreTrainedTokenizerBase):
    together = tokenise(bert, [LONG, "left", "the red cup"], 20)
    for row, text in enumerate([LONG, "left", "the red cup"]):
        alone = tokenise(bert, [text], 20)
        assert together.ids[row].equal(alone.ids[0])
        assert together.keep[row].equal(alone.keep[0])


def test_word_tokenizer_numbers_the_lower_cased_words_of_its_sentences():
    tokenizer = word_tokenizer(["The red cup!", "left CUP", "café"])
    assert tokenizer.get_vocab() == {
        "[PAD]": 0,
        "[UNK]": 1,
        "[CLS]": 2,
        "[SEP]": 3,
        "!": 4,
        "cafe": 5,
        "cup": 6,
        "left": 7,
        "red": 8,
        "the": 9,
    }
    assert tokenise(tokenizer, ["RED cup, left"], 8).ids.tolist() == [[2, 8, 6, 1, 7, 3, 0, 0]]


def test_word_tokenizer_does_not_depend_on_the_order_of_its_sentences():
    sentences = ["the red cup", "left person", "a dog"]
    assert word_tokenizer(sentences).get_vocab() == word_tokenizer(sentences[::-1]).get_vocab()


def test_word_tokenizer_survives_being_saved(tmp_path: Path):
    tokenizer = word_tokenizer(["the red cup"])
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenise(again, ["The blue cup"], 6).ids.equal(tokenise(tokenizer, ["The blue cup"], 6).ids)
