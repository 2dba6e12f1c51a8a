"""A folder that results go to, on this machine or in storage: every file appears whole or not at all, under its own name.

On this machine, a temporary file is renamed. A bucket shows an object only when all of it is there, so one request is enough. Other
storage gets a temporary name, too.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

from cmirnet_cli.errors import DataError, NotThereError, UsageError
from cmirnet_cli.files import new_file, write_bytes
from cmirnet_cli.storage.listing import files_of
from cmirnet_cli.storage.reading import attempt, call, read_whole
from cmirnet_cli.storage.uris import file_system, is_uri, is_web, joined, local_path, no_bucket, scheme_of, shown

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "hf", "abfs", "abfss", "az", "oss", "oci", "memory"})
"""Schemes of storage that shows no part of a file, and has no folders to make."""
_SLOWEST = 1 << 20
"""The slowest rate, in bytes a second, at which a file may be sent."""


@dataclass(frozen=True)
class Place:
    """A folder for results. What its methods raise is a StorageError in storage, and what `files` raises on this machine.

    Attributes:
        root: its path or URI.
    """

    root: str

    @classmethod
    def named(cls, written: str) -> Place:
        """The place that a user names; a `file://` URI is the local folder.

        Raises:
            UsageError: it is on the web, its driver is missing, or it names no bucket.
        """
        written = local_path(written)
        if is_web(written):
            raise UsageError(f"nothing can be written to {shown(written)}", hint="name a folder on this machine or in a bucket")
        if is_uri(written):
            _, path = file_system(written)
            if not path.strip("/"):
                raise no_bucket(written)
        return cls(written.rstrip("/") or "/")

    @property
    def folder(self) -> Path | None:
        """The folder on this machine; None in storage."""
        return None if is_uri(self.root) else Path(self.root)

    @property
    def shown(self) -> str:
        """The place, without what may be secret."""
        return shown(self.root)

    def at(self, name: str) -> str:
        """The path or URI of a file in it."""
        return str(self.folder / name) if self.folder else joined(self.root, name)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if it is not there."""
        try:
            return (self.folder / name).read_bytes() if self.folder else read_whole(self.at(name), None)
        except (FileNotFoundError, NotADirectoryError, NotThereError):
            return None
        except OSError as error:
            raise DataError(f"cannot read {self.at(name)}: {error.strerror}", hint="check the folder's permissions") from error

    def write(self, name: str, data: bytes, *, wait: bool = True) -> None:
        """Write a file; `wait` as for `files.new_file`."""
        if self.folder:
            write_bytes(self.folder / name, data, wait=wait)
        else:
            self._send(name, len(data), lambda system, path, patience: call(system, "pipe_file", path, data, patience=patience))

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """A name on this machine that nobody else has: create it with mode "x"; it becomes the file when the block ends well."""
        if self.folder:
            with new_file(self.folder / name) as path:
                yield path
            return
        with TemporaryDirectory(prefix="cmirnet-") as made:
            path = Path(made) / posixpath.basename(name)
            yield path
            size = path.stat().st_size
            self._send(name, size, lambda system, target, patience: call(system, "put_file", str(path), target, patience=patience))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self.folder:
            (self.folder / name).unlink(missing_ok=True)
            return
        system, path = file_system(self.at(name))
        with suppress(NotThereError):
            attempt(f"cannot remove {shown(self.at(name))}", self.root, lambda: call(system, "rm_file", path))

    def names(self) -> Iterator[str]:
        """The names of the files that lie directly in it, as they are listed; none where it is not there."""
        if self.folder:
            yield from (path.name for path in sorted(self.folder.glob("*")) if path.is_file())
            return
        with suppress(NotThereError):
            yield from (file.name for file in files_of(self.root))

    def below(self, folder: str) -> Iterator[str]:
        """The names of all files in a folder of it, at any depth, as they are listed; none where it is not there."""
        if self.folder:
            for directory, _, files in os.walk(self.folder / folder):
                yield from ((Path(directory) / file).relative_to(self.folder).as_posix() for file in files)
            return
        with suppress(NotThereError):
            yield from (f"{folder}/{file.name}" for file in files_of(self.at(folder), recursive=True))

    def _send(self, name: str, size: int, send: Callable[[Any, str, float], object]) -> None:
        """Write a file of `size` bytes: `send` is called with the file system, the path there and the seconds it may take."""
        uri = self.at(name)
        system, path = file_system(uri)
        patience = size / _SLOWEST

        def whole() -> None:
            if scheme_of(uri) in _OBJECT_STORES:
                send(system, path, patience)
                return
            folder, _, last = path.rpartition("/")
            system.makedirs(folder, exist_ok=True)
            temporary = f"{folder}/.cmirnet-{token_hex(8)}-{last}"
            try:
                send(system, temporary, patience)
                system.mv(temporary, path)
            except BaseException:
                with suppress(Exception):
                    system.rm_file(temporary)
                raise

        attempt(f"cannot write {shown(uri)}", uri, whole)
