"""Devices, processes and seeds: the process-wide state that training and inference share."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object, is_bf16_available
from torch import distributed

from cmirnet_cli.engine.environment import peak_memory_mib
from cmirnet_cli.errors import UsageError
from cmirnet_cli.processor import computes_in_bf16, processor_features

Value = TypeVar("Value")


def pick_device(name: str) -> torch.device:
    """The device named `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        UsageError: the name is unknown or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"there is no device called {name!r}", hint="use auto, cpu, cuda, cuda:N or mps") from error
    present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= present.get(device.type, 0):
        raise UsageError(f"this machine has no device {name!r}", hint=_instead_of(device, present.get(device.type, 0)))
    return device


def _instead_of(device: torch.device, present: int) -> str:
    """What to do where a device is missing; `present` is how many there are of its kind."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if device.type != "cuda":
        return "use --device auto to take what there is"
    if present:
        return f"the GPUs here are cuda:0 to cuda:{present - 1}" if present > 1 else "the only GPU here is cuda:0"
    if torch.version.cuda is None:
        return "PyTorch was installed without CUDA: install it with CUDA, or use --device cpu"
    if visible is not None:
        return f"CUDA_VISIBLE_DEVICES is {visible!r} and leaves no GPU that torch can use: change it, or use --device cpu"
    return "PyTorch sees no GPU, `cmirnet doctor` says why: use --device cpu"


def has_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16. Others emulate it, a CPU many times slower than fp32."""
    if device.type == "cuda" and torch.cuda.is_available():
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type != "cpu" or computes_in_bf16(processor_features())


def published_precision(device: torch.device) -> str:
    """The number format that the authors train the network in, fp16, where a device can: on CUDA; elsewhere fp32."""
    return "fp16" if device.type == "cuda" else "fp32"


def make_accelerator(device: torch.device, precision: str = "fp32") -> Accelerator:
    """accelerate's view of the device, the precision and the processes that a launcher such as torchrun started.

    Raises:
        UsageError: the device cannot compute in the precision, or one GPU is named for several processes.
    """
    if precision == "fp16" and device.type != "cuda":
        raise UsageError(f"fp16 needs a CUDA device, not {device}", hint="use --set loop.precision=bf16 or fp32")
    if precision == "bf16" and device.type != "cpu" and not is_bf16_available(ignore_tpu=True):
        raise UsageError(f"{device} has no bf16 here", hint="use --set loop.precision=fp32")
    AcceleratorState._reset_state(reset_partial_state=True)
    if device.index is not None and device.type == "cuda":
        torch.cuda.set_device(device)  # accelerate takes the current one
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no" if precision == "fp32" else precision)
    if accelerator.num_processes > 1 and device.index is not None:
        raise UsageError(
            f"{accelerator.num_processes} processes cannot share {device}", hint="leave --device out: each process takes its own"
        )
    return accelerator


@contextmanager
def leaving_in_order() -> Iterator[None]:
    """At the end, the processes that `make_accelerator` joined within leave each other: gloo aborts, now and then, those that do not.

    After an error GPU processes just end, for NCCL would wait for the others to come here too; the launcher then ends those.
    """
    failed = True
    try:
        yield
        failed = False
    finally:
        if distributed.is_initialized() and not (failed and distributed.get_backend() == "nccl"):
            distributed.destroy_process_group()


def said_by_main(own: Value) -> Value:
    """What the main process gives, in each of those that `make_accelerator` joined; all must come here."""
    said: Value = gather_object([own])[0]
    return said


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def finish_on(device: torch.device) -> None:
    """Wait until a device has computed everything that was queued on it; a CPU is never ahead."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def most_held_mib(device: torch.device) -> float:
    """The most memory that was held so far, in MiB: of the GPU where there is one, else of this process."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else peak_memory_mib()
