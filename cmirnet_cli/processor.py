"""What the processor is called and which instructions it has, as Linux tells it."""

from __future__ import annotations

import platform
from pathlib import Path

BF16 = frozenset({"amx_bf16", "avx512_bf16", "bf16", "svebf16"})
"""Names of the instructions that compute in bf16."""

VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""Names of the x86 instructions that multiply int8 and sum in 32 bits."""

_CPU = "cpuinfo"


def processor_name() -> str:
    """The model's name, where the system tells it."""
    return proc_value(_CPU, "model name") or platform.processor() or platform.machine()


def processor_features() -> frozenset[str]:
    """Names of the instructions that the processor has, as Linux spells them; empty where the system does not tell."""
    return frozenset((proc_value(_CPU, "flags") or proc_value(_CPU, "Features")).split())


def computes_in_bf16(features: frozenset[str]) -> bool:
    """Whether a processor with these features has instructions for bf16; where the system does not tell, that is assumed."""
    return not features or bool(features & BF16)


def sums_int8_exactly(features: frozenset[str]) -> bool:
    """Whether the fastest int8 products of a processor with these features cannot overflow; where the system does not tell, they might."""
    return bool(features & VNNI)


def proc_value(table: str, key: str) -> str:
    """The first value of a key in a table that Linux keeps below /proc; empty where there is none."""
    path = Path("/proc", table)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == key), "")
