"""Pickled checkpoints, read as data.

A pickle is a program. Two walls stand before it: the names it asks for are read off without running it and compared with the few
that a state dict needs, and `torch.load(weights_only=True)` then builds nothing else. There is no way around either.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any, cast

import torch
from torch import Tensor

from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.lookalikes import refuse_lookalikes

_TENSOR_TYPES = ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")
ALLOWED = frozenset(
    {
        "argparse.Namespace",
        "collections.OrderedDict",
        "torch.Size",
        "torch.device",
        "torch.nn.parameter.Parameter",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        *(f"torch.{kind}{what}" for kind in _TENSOR_TYPES for what in ("Storage", "Tensor")),
    }
)
"""What a checkpoint may ask for: plain tensors of plain numbers, and a `Namespace`, in whose place `Arguments` comes."""

ZIP_START = b"PK\x03\x04"
LEGACY_PICKLES = 5
"""Before PyTorch 1.6 a checkpoint was five pickles in a row (the fourth is the object), then the numbers."""

_DAMAGED = (
    UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    RuntimeError,
    OSError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
)
"""What Python and PyTorch raise on bytes that are not a checkpoint."""


class Arguments(dict[str, object]):
    """Stands in for a pickled `argparse.Namespace`: its attributes as the entries of a dict, and no behaviour."""

    def __setstate__(self, state: Mapping[str, object]) -> None:
        self.update(state)


def read_checkpoint(path: Path) -> object:
    """What `torch.save` put into a file, with tensors on the CPU; the numbers stay on disk until they are used.

    Reads the zip form and, from before PyTorch 1.6, the legacy form. An `argparse.Namespace` becomes `Arguments`.

    Raises:
        WeightsError: the file is missing, is not a checkpoint (a Git LFS pointer, a web page and the like are named), is cut off or
            damaged, asks for anything that is not plain data (the name is given), or announces more than it holds.
    """
    refuse_lookalikes([path], text=True)  # the oldest pickles are text
    zipped = _starts_like_a_zip(path)
    with _damage_named(path):
        if zipped:
            _check_archive(path)
        for name in _imported_names(path, zipped):
            if name not in ALLOWED:
                raise WeightsError(
                    f"{path} is refused: it asks for {name!r}",
                    hint="a checkpoint of weights holds tensors, numbers and text only; nothing of this file was run",
                )
    with _damage_named(path), torch.serialization.safe_globals([(Arguments, "argparse.Namespace")]):
        value: object = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    _check_sizes(path, list(_tensors(value)))
    return value


def state_dict(value: object, where: str) -> dict[str, Tensor]:
    """A part of a checkpoint as a state dict; a leading `module.` of the names is dropped.

    Raises:
        WeightsError: it is not one.
    """
    if not isinstance(value, Mapping) or not value:
        raise WeightsError(f"{where} is not a state dict: it is {_kind(value)}", hint="it must hold parameter names and tensors")
    strange = [name for name, tensor in value.items() if not isinstance(name, str) or not isinstance(tensor, Tensor)]
    if strange:
        raise WeightsError(
            f"{where} is not a state dict: under {str(strange[0])[:80]!r} is {_kind(value[strange[0]])}",
            hint="it must hold parameter names and tensors",
        )
    return {name.removeprefix("module."): tensor.detach() for name, tensor in value.items()}


def _starts_like_a_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(ZIP_START)) == ZIP_START
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}", hint="check the path and its permissions") from error


def _check_archive(path: Path) -> None:
    """Nothing is compressed, nothing lies twice in the same bytes, and every checksum is right."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("its entries are compressed, which torch.save never does")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("it announces more than it holds")
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} is wrong")


def _imported_names(path: Path, zipped: bool) -> Iterator[str]:
    """The globals that the file's pickles name, in order; nothing is run."""
    if zipped:
        with zipfile.ZipFile(path) as archive:
            entries = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
            if len(entries) != 1:
                raise ValueError("it is a zip archive, but not one that torch.save wrote")
            yield from _globals(archive.read(entries[0]))
        return
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        for _ in range(LEGACY_PICKLES):
            yield from _globals(cast(IO[bytes], data))


def _globals(pickle: bytes | IO[bytes]) -> Iterator[str]:
    """The names in one pickle as `module.name`; those that its instructions put together are marked, as torch.save writes none."""
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name in {"GLOBAL", "INST"}:
            yield str(argument).replace(" ", ".", 1)
        elif opcode.name == "STACK_GLOBAL":
            yield f"{'.'.join(texts[-2:])}, put together while it runs"
        elif opcode.name.startswith("EXT"):
            yield f"the registered extension {argument}"
        elif isinstance(argument, str):
            texts.append(argument)


def _tensors(value: object) -> Iterator[Tensor]:
    """Every tensor in nested containers, each container visited once."""
    waiting, visited = [value], set[int]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, (dict, list, tuple)) and id(one) not in visited:
            visited.add(id(one))
            waiting.extend(one.values() if isinstance(one, dict) else one)


def _check_sizes(path: Path, tensors: Iterable[Tensor]) -> None:
    """No tensor, and not all of them together, may be larger than what the file holds."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    larger = any(tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes() for tensor in tensors)
    if larger or sum(storages.values()) > path.stat().st_size:
        raise _unreadable(path, "its tensors announce more numbers than it holds")


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        refuse_lookalikes([path])
        raise _unreadable(path, _reason(error)) from error


def _unreadable(path: Path, reason: str) -> WeightsError:
    hint = "download it again and compare its size with the source's; it must be a file that torch.save wrote"
    return WeightsError(f"{path} is not a readable checkpoint: {reason}", hint=hint)


def _reason(error: Exception) -> str:
    """The first line that says something; PyTorch's advice to load the file unsafely is left out."""
    lines = str(error).rpartition("WeightsUnpickler error:")[2].strip().splitlines()
    if lines and lines[0].startswith("Weights only load failed"):
        return "it asks for more than plain data"
    return lines[0] if lines else type(error).__name__


def _kind(value: Any) -> str:
    return "an empty dict" if value == {} else f"something of type {type(value).__name__}"
