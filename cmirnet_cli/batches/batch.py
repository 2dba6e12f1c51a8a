"""What the loops work on. Legend: B batch, S image side in pixels, T tokens (padding included), D text width."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Encoded expressions: ids int64 (B, T), keep bool (B, T) with True on real tokens."""

    ids: Tensor
    keep: Tensor

    def to(self, device: torch.device) -> Tokens:
        """The same, on a device."""
        return Tokens(self.ids.to(device), self.keep.to(device))


@dataclass(frozen=True)
class Batch:
    """One training step's input, still on the CPU.

    Attributes:
        image: uint8 (B, S, S, 3), RGB; normalised on the device.
        tokens: one expression per row.
        target: uint8 (B, S, S), 1 on the referent, else 0.
        sent_ids: the sentences' ids, to name a batch that goes wrong.
        words: float32 (B, T, D), what the text encoder makes of the tokens, where that was kept; else None.
    """

    image: Tensor
    tokens: Tokens
    target: Tensor
    sent_ids: tuple[int, ...]
    words: Tensor | None = None

    def __len__(self) -> int:
        return len(self.sent_ids)
