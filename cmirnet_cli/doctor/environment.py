"""What this machine can do: processors, memory, room on its disks, and whether the Hugging Face hub answers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import constants

from cmirnet_cli.config import DataConfig
from cmirnet_cli.doctor.findings import Finding
from cmirnet_cli.engine.environment import GIB, machine_in_words, memory_gib
from cmirnet_cli.engine.threads import CHOSEN_BY, threads_for, usable_cores
from cmirnet_cli.hub import PATIENCE, has_copy, why_offline
from cmirnet_cli.processor import BF16, processor_features
from cmirnet_cli.weights.check import default_starts

LITTLE_MEMORY = 4.0
"""GiB: what Swin-B with its text encoder needs to predict, and a little for others."""

LITTLE_SHARED_MEMORY = 0.25
"""GiB: two loading processes have up to four batches of 32 images under way, 30 MB each at 480 px."""

ROOM_FOR_A_RUN = 10.0
"""GiB: of Swin-B, weights twice and for a moment two checkpoints, which hold the weights and AdamW's averages."""

_ELSEWHERE = "name local files instead: --set text.source=FOLDER, --backbone-weights FILE"
_LIGHTER = "a lighter model needs less: cmirnet presets ls --cost"


def device_findings() -> Iterator[Finding]:
    """The processor, and the GPUs that torch can use.

    Raises:
        ImportError: torch cannot be loaded.
    """
    try:
        import torch
    except OSError as problem:  # so it says that a shared library of its own is missing
        raise ImportError(str(problem)) from problem
    features = processor_features()
    bf16 = f"; bf16 ({', '.join(sorted(features & BF16))})" if features & BF16 else "; no native bf16: use fp32"
    yield Finding("ok", "cpu", f"{machine_in_words()}; {_threads()}{bf16 if features else ''}")
    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        bf16 = "bf16" if gpu.major >= 8 else "no bf16 (use --precision fp16)"
        yield Finding("ok", f"cuda:{number}", f"{gpu.name}, {gpu.total_memory / GIB:.0f} GiB, {bf16}")
    if torch.backends.mps.is_available():
        yield Finding("ok", "mps", "Apple GPU")
    elif torch.cuda.device_count():
        return
    elif Path("/proc/driver/nvidia/version").is_file():
        advice = "compare the driver that `nvidia-smi` shows with the CUDA version that torch was built for, and install the torch for it"
        yield Finding("warning", "gpu", f"torch {torch.__version__} cannot use the NVIDIA GPU of this machine", advice)
    else:
        yield Finding("note", "gpu", "none: everything runs on the CPU", f"the published recipes need a GPU to train; {_LIGHTER}")


def _threads() -> str:
    """How many threads compute, in words."""
    workers, chosen = DataConfig().workers, next((name for name in CHOSEN_BY if os.environ.get(name)), None)
    if chosen:
        return f"{chosen} asks for {os.environ[chosen]} threads"
    spared = usable_cores() < (os.cpu_count() or 1)
    machine = f"of {os.cpu_count()} cores this process may use {usable_cores()}: " if spared else ""
    return f"{machine}networks compute with {threads_for()} threads, {threads_for(workers)} while {workers} processes load data"


def memory_findings() -> Iterator[Finding]:
    """Memory, and the part of it through which loading processes hand over batches."""
    usable, free = memory_gib()
    message = f"{free:.1f} of {usable:.1f} GiB free"
    if free < LITTLE_MEMORY:
        yield Finding("warning", "memory", message, f"close other programs; {_LIGHTER}")
    else:
        yield Finding("ok", "memory", message)
    shared = Path("/dev/shm")
    if shared.is_dir() and (size := shutil.disk_usage(shared).total / GIB) < LITTLE_SHARED_MEMORY:
        advice = "use --workers 0, or give the container more (docker run --shm-size=1g)"
        yield Finding("warning", "shared memory", f"{size * 1024:.0f} MiB for loading processes", advice)


def room_findings(folder: Path, required: float, what: str) -> Iterator[Finding]:
    """Room where a folder is or will be: whether it can be written, and whether `required` GiB are free, which `what` takes."""
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(place).free / GIB
    subject, message = f"disk for {folder}", f"{free:,.0f} GiB free"
    if not os.access(place, os.W_OK):
        yield Finding("warning", subject, f"{place} cannot be written", "choose another folder, or change its permissions")
    elif free < required:
        yield Finding("warning", subject, f"{message}; {what} takes {required:.0f} GiB", "free some space, or use another disk")
    else:
        yield Finding("ok", subject, message)


def hub_findings(seconds: float = PATIENCE) -> Iterator[Finding]:
    """Whether the hub answers, and what of a default run's start was fetched; neither is an error, because all works with local files."""
    if constants.HF_HUB_OFFLINE:
        yield Finding("note", "hub", "HF_HUB_OFFLINE is set: nothing is downloaded", f"unset it, or {_ELSEWHERE}")
    elif reason := why_offline(seconds):
        yield Finding("note", "hub", reason, f"check the network and proxies, or {_ELSEWHERE}")
    else:
        yield Finding("ok", "hub", f"{constants.ENDPOINT} answers")
    for subject, start in zip(("text encoder", "backbone"), default_starts(), strict=True):
        if has_copy(start.repository):
            yield Finding("ok", subject, f"{start.repository} is in the local cache")
        else:
            copy = f"run `hf download {start.repository} --local-dir FOLDER` elsewhere and use {start.option}"
            advice = f"training downloads it once; without the hub, {copy}"
            yield Finding("note", subject, f"{start.repository}, which the published recipe starts from, is not in the local cache", advice)
