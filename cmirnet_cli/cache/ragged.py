"""Many byte strings of any length as two flat arrays, which HDF5 keeps and reads at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """Byte strings laid end to end.

    Attributes:
        data: uint8 (total,), all strings.
        starts: int64 (n + 1,), where each begins; the last entry is `total`.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]

    @classmethod
    def pack(cls, items: Iterable[bytes]) -> Ragged:
        """Lay byte strings end to end."""
        rows = list(items)
        return cls(np.frombuffer(b"".join(rows), np.uint8), starts_of(len(row) for row in rows))

    @classmethod
    def of_text(cls, items: Iterable[str]) -> Ragged:
        """Text as UTF-8; lone surrogates survive."""
        return cls.pack(text.encode("utf-8", "surrogatepass") for text in items)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> bytes:
        return self.data[self.starts[row] : self.starts[row + 1]].tobytes()

    def text(self, row: int) -> str:
        """One row as text."""
        return self[row].decode("utf-8", "surrogatepass")

    def texts(self) -> tuple[str, ...]:
        """All rows as text."""
        return tuple(self.text(row) for row in range(len(self)))

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.data.nbytes + self.starts.nbytes

    def save(self, file: Any, name: str) -> None:
        """Write to an open HDF5 file as datasets `name` and `name_starts`."""
        file.create_dataset(name, data=self.data, track_times=False)
        file.create_dataset(f"{name}_starts", data=self.starts, track_times=False)

    @classmethod
    def load(cls, file: Any, name: str) -> Ragged:
        """Read what `save` wrote."""
        return cls(file[name][()], file[f"{name}_starts"][()])


def starts_of(lengths: Iterable[int]) -> NDArray[np.int64]:
    """int64 (n + 1,): where pieces of these lengths begin when laid end to end, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.fromiter(lengths, np.int64))]).astype(np.int64)
