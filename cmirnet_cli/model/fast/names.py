"""The faster forms of a network's parts, by name. Light: imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from cmirnet_cli.errors import UsageError

AUTO = "auto"
"""Stands for the optimizations that were measured to help on a device."""

COMPILE, PACKED = "compile", "packed"
OPTIMIZATIONS = MappingProxyType(
    {
        "batch-norm": "batch norms folded into the convolutions before them, activations in place",
        "heads": "the heads' 3×3 convolutions to two classes tap by tap",
        "windows": "Swin's windows without work on their padding, a few at a time",
        "winograd": "large 3×3 convolutions by Winograd's F(4×4, 3×3): a quarter of the multiplications",
        "channels-last": "maps whose channels lie together in memory",
        PACKED: "on a CPU, weights laid out once for oneDNN, and GELU inside the product; not together with compile",
        COMPILE: "parts compiled by torch.compile at their first use, which takes a minute for every new number of rows",
    }
)
"""Every optimization and what it does, in the order in which they are made. Up to rounding none of them changes a mask."""

INSIDE_THE_BACKBONE = "windows"
"""Made in a Swin of ours, and in no backbone of timm's."""


def optimizations_named(text: str) -> tuple[str, ...]:
    """`none`, or names with commas between them, as typed; `auto` is one.

    Raises:
        UsageError: there is no such optimization.
    """
    return require_optimizations(() if text == "none" else tuple(name.strip() for name in text.split(",")))


def require_optimizations(names: Sequence[str]) -> tuple[str, ...]:
    """The names themselves.

    Raises:
        UsageError: there is no such optimization.
    """
    if unknown := [name for name in names if name not in (AUTO, *OPTIMIZATIONS)]:
        raise UsageError(f"there is no optimization {unknown[0]!r}", hint=f"choose among {', '.join((AUTO, *OPTIMIZATIONS))}")
    return tuple(names)
