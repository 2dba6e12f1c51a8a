"""Pixels and sentences as an exported graph takes them, bit for bit as the weights' own program prepares them.

Also its logits at a photo's size, and the samples that an export is compared on."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from cmirnet_cli.batches.vocabulary import knows_a_word
from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.spec import AGAIN, TOKENIZER_FILE, Input
from cmirnet_cli.images.pixels import Pixels

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sentences:
    """Encoded sentences: ids int64 (B, T), mask int64 (B, T) with 1 on real tokens."""

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


def normalised(images: Pixels, prepared: Input) -> Floats:
    """Images uint8 (B, H, W, 3) as float32 (B, 3, H, W), divided by 255, minus the mean, divided by the standard deviation."""
    mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (prepared.mean, prepared.std))
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
    made: Floats = (planes / np.float32(255) - mean) / std
    return made


class SentenceReader:
    """An export's tokenizer. It keeps no state, so threads may share one."""

    def __init__(self, tokenizer: Tokenizer, prepared: Input) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._prepared = prepared

    @classmethod
    def of(cls, folder: Path, prepared: Input) -> SentenceReader:
        """The tokenizer of an export.

        Raises:
            ExportError: its file is missing or damaged.
        """
        path = folder / TOKENIZER_FILE
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises this class itself for a file that is not a tokenizer
            raise ExportError(f"{path} cannot be read: {error}", hint=AGAIN) from error
        return cls(tokenizer, prepared)

    def read(self, texts: Sequence[str]) -> Sentences:
        """Encode with special tokens, cut, pad."""
        ids = np.full((len(texts), self._prepared.tokens), self._prepared.pad, np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            own, end = self._encoded(text), self._prepared.end
            if len(own) > self._prepared.tokens:
                last = end if end is not None and own[-1] == end else own[self._prepared.tokens - 1]
                own = [*own[: self._prepared.tokens - 1], last]
            ids[row, : len(own)], mask[row, : len(own)] = own, 1
        return Sentences(ids, mask)

    @property
    def tokens(self) -> int:
        """How many tokens of a sentence the graph reads, its start and end marks included."""
        return self._prepared.tokens

    def too_long(self, texts: Sequence[str]) -> list[str]:
        """Those sentences of which the graph reads only the beginning."""
        return [text for text in texts if len(self._encoded(text)) > self._prepared.tokens]

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """Those sentences of which the tokenizer knows no word."""
        return [text for text in texts if not knows_a_word(text, self._tokenizer.encode(text), self._unknown)]

    @cached_property
    def _unknown(self) -> int | None:
        """The id of the token for what the tokenizer does not know; its model tells the id, or the token's name."""
        model = json.loads(self._tokenizer.to_str())["model"]
        unknown: int | None = model.get("unk_id", self._tokenizer.token_to_id(model.get("unk_token") or ""))
        return unknown

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=True).ids
        return ids


def enlarged(x: Floats, height: int, width: int) -> Floats:
    """Bilinear interpolation of float32 (…, H, W) to another height and width, corners not aligned, as torch does it."""
    return _along_rows(_along_rows(x.swapaxes(-1, -2), width).swapaxes(-1, -2), height)


def referent_probability(logits: Floats) -> Floats:
    """Softmax over two classes, float32 (2, …): the second one's probability."""
    weights = np.exp(logits - logits.max(axis=0))
    probability: Floats = weights[1] / weights.sum(axis=0)
    return probability


def _along_rows(x: Floats, length: int) -> Floats:
    """Interpolate the last axis but one; samples lie in the middle of their cells, and the outermost ones reach to the border."""
    count = x.shape[-2]
    place = np.maximum((np.arange(length, dtype=np.float32) + np.float32(0.5)) * np.float32(count / length) - np.float32(0.5), 0)
    before = np.minimum(place.astype(np.int64), count - 1)
    after = np.minimum(before + 1, count - 1)
    share = (place - before.astype(np.float32))[:, None]
    made: Floats = x[..., before, :] * (1 - share) + x[..., after, :] * share
    return made


Item = TypeVar("Item")

COMPARED = 4
"""Samples that suffice to find a wrong graph: a batch of 1 and one of 3."""


@dataclass(frozen=True)
class ExportSample:
    """An RGB image, uint8 (H, W, 3), and a sentence about it."""

    pixels: Pixels
    sentence: str


@dataclass(frozen=True)
class Samples:
    """What an export is compared and calibrated on.

    Attributes:
        source: where the samples come from, in words.
        compared: for the comparison with the weights; at least one.
        calibrating: for the ranges of int8; none of them is compared.
    """

    source: str
    compared: tuple[ExportSample, ...]
    calibrating: tuple[ExportSample, ...] = ()


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly taken from the whole sequence and in its order."""
    kept = min(count, len(items))
    return [items[place * len(items) // kept] for place in range(kept)]


def halves(items: Sequence[Item], count: int) -> tuple[list[Item], list[Item]]:
    """At most `count` items for each of two purposes, evenly taken, none of them for both.

    They are dealt in a random order, the same each time: in their own order every second one may be about the same expression.
    """
    taken = spread(items, 2 * count)
    dealt = random.Random(0).sample(taken, len(taken))
    return dealt[::2], dealt[1::2]
