"""A backbone's weights in a file of whatever origin: safetensors or PyTorch's, bare or wrapped, alone or as a part of something larger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from cmirnet_cli.errors import WeightsError, listed
from cmirnet_cli.weights.checkpoint import read_checkpoint, state_dict
from cmirnet_cli.weights.folder import UNREADABLE
from cmirnet_cli.weights.lookalikes import refuse_lookalikes

WRAPPERS = ("state_dict", "model", "model_state_dict", "model_state", "module", "net", "network", "backbone", "encoder", "weights")
AVERAGED = ("model_ema", "state_dict_ema", "ema", "teacher", "student")
"""Entries under which training programs keep the state dict; the averaged ones are taken where there is no other."""
_LONGEST_HEADER = 100_000_000
"""Bytes; of a safetensors file, whose first 8 bytes are the length of the JSON that follows."""


@dataclass(frozen=True)
class BackboneFile:
    """A backbone's state dict from a file.

    Attributes:
        state: its entries, by the names that they have in the backbone alone.
        others: the names of entries that belong to other parts of the model.
        place: under which entries and prefix of the file it lay, such as `state_dict, backbone.`; empty where it was the file itself.
    """

    state: Mapping[str, Tensor]
    others: tuple[str, ...]
    place: str


def read_backbone(path: Path, known: Callable[[str], bool]) -> BackboneFile:
    """The backbone in a file; nothing in the file is run.

    Args:
        path: the file.
        known: whether a name is that of an entry of the backbone.

    Raises:
        WeightsError: the file cannot be read, is not a state dict, or holds several backbones.
    """
    value, entries = _read(path), list[str]()
    while isinstance(value, Mapping) and (entry := next((name for name in (*WRAPPERS, *AVERAGED) if _wraps(value, name)), None)):
        entries.append(entry)
        value = value[entry]
    state = state_dict(value, str(path))
    prefix = _prefix(path, state, known)
    inside = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    others = tuple(sorted(name for name in state if not name.startswith(prefix)))
    return BackboneFile(inside, others, ", ".join([*entries, *([prefix] if prefix else [])]))


def _read(path: Path) -> object:
    refuse_lookalikes([path])
    if not holds_safetensors(path):
        return read_checkpoint(path)
    try:
        return load_file(path)
    except UNREADABLE as error:
        hint = "download it again and compare its size with the source's"
        raise WeightsError(f"{path} is not a readable safetensors file: {error}", hint=hint) from error


def holds_safetensors(path: Path) -> bool:
    """Whether a file begins as those of safetensors do, whatever its name."""
    with path.open("rb") as file:
        length, brace = int.from_bytes(file.read(8), "little"), file.read(1)
    return brace == b"{" and 0 < length < _LONGEST_HEADER


def _wraps(value: Mapping[object, object], name: str) -> bool:
    return name in value and not isinstance(value[name], Tensor)


def _prefix(path: Path, names: Iterable[str], known: Callable[[str], bool]) -> str:
    """What stands before the names of the backbone's entries: the prefix with most known names behind it.

    Raises:
        WeightsError: several prefixes have as many.
    """
    behind = Counter(prefix for name in names for prefix in _prefixes(name) if known(name.removeprefix(prefix)))
    most = max(behind.values(), default=0)
    best = [prefix for prefix, count in behind.items() if count == most]
    if len(best) > 1:
        raise WeightsError(
            f"{path} holds several backbones: {listed([f'{prefix}*' for prefix in sorted(best)])}",
            hint="write the one that you mean into a file of its own",
        )
    return best[0] if best else ""


def _prefixes(name: str) -> list[str]:
    """Everything that ends with a dot and begins a name, the empty text included."""
    parts = name.split(".")
    return ["".join(f"{part}." for part in parts[:count]) for count in range(len(parts))]
