"""Files that appear whole or not at all, also when the machine loses power."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmirnet_cli.errors import CacheError

_TEMPORARY = ".tmp"


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A name nobody else has, beside `target`: create it with mode "x"; it becomes `target` when the block ends well.

    Raises:
        CacheError: the file cannot be written (disk full, read-only folder).
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    except OSError as error:
        raise CacheError(f"cannot write {target}: {error}", hint="check the free space and the folder's permissions") from error
    finally:
        temporary.unlink(missing_ok=True)


def reserve(path: Path, size: int) -> None:
    """Claim `size` bytes on the disk for an existing file, where the system can.

    HDF5 cannot recover from a disk that fills up while it writes, so a file's room is claimed before it needs it.

    Raises:
        OSError: there is not that much room.
    """
    if (free := shutil.disk_usage(path.parent).free) < size:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {size} bytes are needed and {free} are free")
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def sweep(folder: Path) -> None:
    """Remove what killed writers left unfinished in `folder`."""
    for leftover in folder.glob(f".*{_TEMPORARY}"):
        leftover.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Sha256 of a file's bytes, as hexadecimal text."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
