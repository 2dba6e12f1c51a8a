"""Pixels and sentences as an exported graph takes them, bit for bit as the weights' own program prepares them.

Legend: B batch, T tokens (padding included), H × W in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.spec import AGAIN, TOKENIZER_FILE, Input

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sentences:
    """Encoded sentences: ids int64 (B, T), mask int64 (B, T) with 1 on real tokens."""

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """An RGB image (H, W, 3) at another size, as PIL's antialiased bilinear filter makes it."""
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


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
        except Exception as error:  # the library raises this class itself for a file that is no tokenizer
            raise ExportError(f"{path} cannot be read: {error}", hint=AGAIN) from error
        return cls(tokenizer, prepared)

    def read(self, texts: Sequence[str]) -> Sentences:
        """Encode with special tokens, cut, pad."""
        ids = np.full((len(texts), self._prepared.tokens), self._prepared.pad, np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            found = self._encoded(text)[: self._prepared.tokens]
            ids[row, : len(found)], mask[row, : len(found)] = found, 1
        return Sentences(ids, mask)

    def too_long(self, texts: Sequence[str]) -> list[str]:
        """Those sentences of which the graph reads only the beginning."""
        return [text for text in texts if len(self._encoded(text)) > self._prepared.tokens]

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=True).ids
        return ids
