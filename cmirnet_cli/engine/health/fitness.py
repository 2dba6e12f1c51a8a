"""What this machine can do: processors, memory, room on its disks. Light but for `device_findings`, which loads torch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from cmirnet_cli.engine.machine import BF16, GIB, machine_in_words, memory_gib, processor_features
from cmirnet_cli.findings import Finding

LITTLE_MEMORY = 4.0
"""GiB: what Swin-B with its text encoder needs to predict, and a little for others."""

LITTLE_SHARED_MEMORY = 0.25
"""GiB: two loading processes have up to four batches of 32 images under way, 30 MB each at 480 px."""

ROOM_FOR_A_RUN = 10.0
"""GiB: of Swin-B, weights twice and for a moment two checkpoints, which hold the weights and AdamW's averages."""

_LIGHTER = "a lighter model needs less: cmirnet presets ls --cost"


def device_findings() -> Iterator[Finding]:
    """The processor, and the GPUs that torch can use.

    Raises:
        ImportError: torch cannot be loaded.
    """
    torch = _torch()
    yield _processor(torch.get_num_threads())
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        bf16 = "bf16" if facts.major >= 8 else "no bf16 (use --precision fp16)"
        yield Finding("ok", f"cuda:{number}", f"{facts.name}, {facts.total_memory / GIB:.0f} GiB, {bf16}")
    if torch.backends.mps.is_available():
        yield Finding("ok", "mps", "Apple GPU")
    elif not torch.cuda.device_count():
        yield _no_gpu(f"torch {torch.__version__}")


def _torch() -> ModuleType:
    try:
        import torch
    except OSError as problem:  # so it says that a shared library of its own is missing
        raise ImportError(str(problem)) from problem
    return torch


def _processor(threads: int) -> Finding:
    features = processor_features()
    bf16 = f"bf16 ({', '.join(sorted(features & BF16))})" if features & BF16 else "no native bf16: use fp32"
    return Finding("ok", "cpu", f"{machine_in_words()}; torch uses {threads} threads" + (f"; {bf16}" if features else ""))


def _no_gpu(torch: str) -> Finding:
    if Path("/proc/driver/nvidia/version").is_file():
        advice = "compare the driver that `nvidia-smi` shows with the CUDA version that torch was built for, and install the torch for it"
        return Finding("warning", "gpu", f"there is an NVIDIA GPU, which {torch} cannot use", advice)
    return Finding("note", "gpu", "none: everything runs on the CPU", f"to train the published recipes find a GPU; {_LIGHTER}")


def memory_findings() -> Iterator[Finding]:
    """Memory, and the part of it through which loading processes hand over batches."""
    usable, free = memory_gib()
    said = f"{free:.1f} of {usable:.1f} GiB free"
    scarce = free < LITTLE_MEMORY
    yield Finding("warning", "memory", said, f"close other programs; {_LIGHTER}") if scarce else Finding("ok", "memory", said)
    shared = Path("/dev/shm")
    if shared.is_dir() and (size := shutil.disk_usage(shared).total / GIB) < LITTLE_SHARED_MEMORY:
        advice = "use --workers 0, or give the container more (docker run --shm-size=1g)"
        yield Finding("warning", "shared memory", f"{size * 1024:.0f} MiB for loading processes", advice)


def room_findings(folder: Path, needed: float, what: str) -> Iterator[Finding]:
    """Room where a folder is or will be: whether it can be written, and whether `needed` GiB are free, which `what` takes."""
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(place).free / GIB
    said = f"{free:,.0f} GiB free"
    if not os.access(place, os.W_OK):
        yield Finding("warning", f"disk for {folder}", f"{place} cannot be written", "choose another folder, or change its permissions")
    elif free < needed:
        yield Finding("warning", f"disk for {folder}", f"{said}; {what} takes {needed:.0f} GiB", "free some space, or use another disk")
    else:
        yield Finding("ok", f"disk for {folder}", said)
