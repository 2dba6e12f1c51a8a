"""What the loops work on: pixels as the network takes them, token ids, and batches of both.

Legend: B batch, S image side in pixels, T tokens (padding included), D text width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from cmirnet_cli.config.published import IGNORED, IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class Tokens:
    """Encoded expressions: ids int64 (B, T), keep bool (B, T) with True on real tokens."""

    ids: Tensor
    keep: Tensor

    def to(self, device: torch.device) -> Tokens:
        """The same, on a device."""
        return Tokens(self.ids.to(device, non_blocking=True), self.keep.to(device, non_blocking=True))


@dataclass(frozen=True)
class Batch:
    """One training step's input, still on the CPU.

    Attributes:
        image: uint8 (B, S, S, 3), RGB; normalised on the device.
        tokens: one expression per row.
        target: uint8 (B, S, S), 1 on the referent, else 0; 255 where the loss leaves a pixel out.
        sent_ids: the sentences' ids, to name a batch that goes wrong; none of a batch that does not count.
        words: float32 (B, T, D), what the text encoder makes of the tokens, where that was kept; else None.
    """

    image: Tensor
    tokens: Tokens
    target: Tensor
    sent_ids: tuple[int, ...]
    words: Tensor | None = None

    def __len__(self) -> int:
        return len(self.sent_ids)

    def pin_memory(self) -> Batch:
        """The same in pinned memory, as the loader asks for it."""
        tokens = Tokens(self.tokens.ids.pin_memory(), self.tokens.keep.pin_memory())
        words = None if self.words is None else self.words.pin_memory()
        return replace(self, image=self.image.pin_memory(), tokens=tokens, target=self.target.pin_memory(), words=words)

    def left_out(self) -> Batch:
        """The same, but neither its loss nor its gradients count."""
        return replace(self, target=torch.full_like(self.target, IGNORED), sent_ids=())


def normalise(image: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to ImageNet-normalised float32 (B, 3, H, W), on the image's device."""
    mean, std = (torch.tensor(values, device=image.device).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (image.permute(0, 3, 1, 2).float() / 255 - mean) / std


def random_crop(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The same `size` × `size` window of an image (H, W, 3) and its mask (H, W), uniformly placed."""
    top, left = (int(rng.integers(0, side - size + 1)) for side in mask.shape)
    window = (slice(top, top + size), slice(left, left + size))
    return image[window], mask[window]


PADDING, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], length: int) -> Tokens:
    """Encode with special tokens, cut to `length` ids, pad with the tokenizer's own padding behind them.

    Quirk kept: a long expression loses its `[SEP]`; the end mark at which an encoder without `[CLS]` reads the sentence stays. The padded
    length is always `length`, as the network sees the padding. It stands behind the words whatever the tokenizer's own side is: it is
    masked, and positions then count from the first word.
    """
    end = end_mark(tokenizer)
    rows = [cut(tokenizer.encode(text, add_special_tokens=True, verbose=False), length, end) for text in texts]
    ids = torch.tensor([row + [padding(tokenizer)] * (length - len(row)) for row in rows], dtype=torch.int64)
    lengths = torch.tensor([len(row) for row in rows])
    return Tokens(ids, torch.arange(length) < lengths.unsqueeze(1))


def padding(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that sentences are padded with; 0 where a tokenizer has none, as it is masked anyway."""
    return int(tokenizer.pad_token_id or 0)


def end_mark(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id that a cut sentence still ends with; None for a tokenizer with a class token, in front of the sentence."""
    return None if tokenizer.cls_token_id is not None else tokenizer.eos_token_id


def cut(ids: list[int], length: int, end: int | None) -> list[int]:
    """The first `length` ids; where they ended with the mark `end`, the last of them is that mark."""
    return [*ids[: length - 1], end] if len(ids) > length and end is not None and ids[-1] == end else ids[:length]


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
