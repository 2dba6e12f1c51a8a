"""Expressions to token ids, as the published network reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from cmirnet_cli.batches.batch import Tokens

PADDING, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], length: int) -> Tokens:
    """Encode with special tokens, keep the first `length` ids, pad with 0.

    Quirk kept: a long expression loses its `[SEP]`. The padded length is always `length`, as the network sees the padding.
    """
    rows = [tokenizer.encode(text, add_special_tokens=True, verbose=False)[:length] for text in texts]
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows], dtype=torch.int64)
    lengths = torch.tensor([len(row) for row in rows])
    return Tokens(ids, torch.arange(length) < lengths.unsqueeze(1))


def word_tokenizer(sentences: Iterable[str]) -> PreTrainedTokenizerFast:
    """A lower-casing tokenizer whose vocabulary is the words of the sentences, for encoders trained from scratch."""
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = {word for text in sentences for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
    vocabulary = {word: index for index, word in enumerate([PADDING, UNKNOWN, START, END, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    special = [(START, vocabulary[START]), (END, vocabulary[END])]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=special)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PADDING, unk_token=UNKNOWN, cls_token=START, sep_token=END)
