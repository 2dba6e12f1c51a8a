"""HDF5 files that are the same bytes whenever they are written, and the handles that read them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from cmirnet_cli.cache.folder import prepare_again, verify_it
from cmirnet_cli.errors import CacheError
from cmirnet_cli.files import new_file
from cmirnet_cli.files.checks import require_room

_FORMAT = ("v110", "v110")
"""Since this version HDF5's own tables carry checksums: a damaged one is an error, where older ones gave other data or no end."""

_BLOCK = 1 << 22
_OVERHEAD = 1 << 17


@contextmanager
def create(target: Path, key: str, content: int) -> Iterator[h5py.File]:
    """A new file to fill; when the block ends it is closed, reopened, checked and only then named `target`.

    Args:
        target: the final name.
        key: the fingerprint key of the cache the file belongs to; it is kept in the file.
        content: how many bytes will be put in, indexes included.

    Raises:
        CacheError: the file cannot be written, or does not read back as it was written.
    """
    with new_file(target, CacheError) as path:
        with h5py.File(path, "x", libver=_FORMAT, locking=False) as file:
            _reserve(path, content + _OVERHEAD)
            yield file
            file.attrs["fingerprint"] = key
            written = _checksum(file)
            file.flush()
            size = file.id.get_filesize()
        os.truncate(path, size)
        with h5py.File(path, "r", locking=False) as file:
            if _checksum(file) != written:
                raise CacheError(f"{target} does not read back as it was written", hint="check the disk, then prepare the cache again")


def _reserve(path: Path, size: int) -> None:
    """Claim bytes on the disk for an existing file, where the system can: HDF5 cannot recover from a disk that fills up."""
    require_room(path.parent, size, CacheError)
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def _checksum(file: h5py.File) -> int:
    """CRC-32 over the content of all data sets, by name, in blocks."""
    checksum = 0
    for name in sorted(file):
        rows = file[name]
        step = max(1, _BLOCK // max(1, rows.dtype.itemsize * int(np.prod(rows.shape[1:]))))
        for start in range(0, len(rows), step):
            checksum = zlib.crc32(np.ascontiguousarray(rows[start : start + step]).data, checksum)
    return checksum


class OpenFiles:
    """Data sets of a cache's files, opened for reading on first use, once per process.

    A forked child never touches its parent's handles: it opens its own.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key
        self._process = os.getpid()
        self._files: dict[str, h5py.File] = {}
        self._datasets: dict[tuple[str, str], h5py.Dataset] = {}

    def dataset(self, name: str, dataset: str) -> h5py.Dataset:
        """One data set of the file `name`.

        Raises:
            CacheError: the file cannot be opened or belongs to another cache.
        """
        file = self.file(name)
        if (name, dataset) not in self._datasets:
            try:
                self._datasets[name, dataset] = file[dataset]
            except (KeyError, OSError, RuntimeError) as error:
                raise self._damaged(name, error) from error
        return self._datasets[name, dataset]

    def file(self, name: str) -> h5py.File:
        """The file `name`, open for reading. Raises as `dataset` does."""
        if self._process != os.getpid():
            for file in self._files.values():
                file.close()  # here only; HDF5 would else read through the parent's descriptor, which has one place for both
            self._files, self._datasets, self._process = {}, {}, os.getpid()
        if name not in self._files:
            self._files[name] = self._open(name)
        return self._files[name]

    def _open(self, name: str) -> h5py.File:
        path = self._folder / name
        try:
            file = h5py.File(path, "r", locking=False)
            key = file.attrs.get("fingerprint")
        except (KeyError, OSError, RuntimeError) as error:
            raise self._damaged(name, error) from error
        if key != self._key:
            message = f"{path} belongs to another cache: its fingerprint differs from the manifest's"
            raise CacheError(message, hint=prepare_again(self._folder))
        return file

    def _damaged(self, name: str, error: Exception) -> CacheError:
        return CacheError(f"cannot read {self._folder / name}: {error}", hint=verify_it(self._folder))
