"""The folder beside the target in which a cache grows, until it takes the target's name in one step.

Its name ends in the fingerprint's key: a later run with the same data and options finds it and goes on, another never meets it.
The target is therefore absent or complete at every moment.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cmirnet_cli.durable import exchange, new_file, sha256_of, sync
from cmirnet_cli.errors import CacheError

_PARTIAL, _KEY = ".partial-", 12
_REPLACED = ".replaced"
_DIGEST = ".sha256"


def staging_folder(folder: Path, key: str) -> Path:
    """Where the cache with this fingerprint key grows."""
    return folder.with_name(f"{folder.name}{_PARTIAL}{key[:_KEY]}")


def unfinished(folder: Path) -> list[Path]:
    """Folders in which a cache named `folder` was begun and not finished."""
    return sorted(folder.parent.glob(f"{glob.escape(folder.name)}{_PARTIAL}*"))


def is_temporary(folder: Path) -> bool:
    """Whether a folder's name says that a cache grows in it, or makes way."""
    return folder.name[:-_KEY].endswith(_PARTIAL) or folder.name.endswith(_REPLACED)


def finished_name(folder: Path) -> Path | None:
    """The name that the cache growing in a temporary folder will have; None of a folder that makes way."""
    name, partial, _ = folder.name.partition(_PARTIAL)
    return folder.with_name(name) if partial else None


@contextmanager
def sole_writer(staging: Path, notice: Callable[[str], None]) -> Iterator[bool]:
    """Make `staging` and hold it; another process that holds it is waited for. A killed one lets go by itself.

    If nothing was written into it, it goes away again.

    Yields:
        False where the system cannot lock a folder; then others may write here too.
    """
    descriptor = _opened(staging)
    try:
        locked = _lock(descriptor, staging, notice)
        while not _is(staging, descriptor):  # the writer we waited for gave it its final name
            stale, descriptor = descriptor, _opened(staging)
            os.close(stale)
            locked = _lock(descriptor, staging, notice)
        yield locked
    finally:
        if staging.is_dir() and not any(staging.iterdir()):
            staging.rmdir()
        os.close(descriptor)


def record(path: Path) -> str:
    """Note beside a finished file the sha256 of its content, by which a later run can trust it; returns it."""
    digest = sha256_of(path)
    with new_file(path.with_name(path.name + _DIGEST), CacheError) as note:
        note.write_text(digest, encoding="ascii")
    return digest


def recorded(path: Path) -> str | None:
    """The sha256 of a file that still has the content that was noted, else None. HDF5 may hang on a damaged file: it is not asked."""
    note = path.with_name(path.name + _DIGEST)
    if not path.is_file() or not note.is_file():
        return None
    digest = sha256_of(path)
    return digest if note.read_bytes() == digest.encode("ascii") else None


def install(staging: Path, folder: Path, overwrite: bool) -> None:
    """Give the finished `staging` its final name; with `overwrite`, a cache that has the name already makes way.

    Raises:
        CacheError: it cannot have the name, which may be taken; what has it keeps it.
    """
    try:
        if overwrite:
            exchange(staging, folder, old=_replaced(folder))
        else:
            staging.rename(folder)
    except OSError as error:
        hint = "another run may have finished first; look at it with: cmirnet cache info"
        raise CacheError(f"cannot give {staging} its name {folder}: {error.strerror}", hint=hint) from error
    sync(folder.parent)
    tidy(folder)


def tidy(folder: Path) -> None:
    """Remove from a finished cache the notes, for its manifest says it all, and from beside it the one that it replaced.

    A run that was killed at its very end leaves them; where nothing may be written, they do no harm.
    """
    for note in folder.glob(f"*{_DIGEST}"):
        with suppress(OSError):
            note.unlink()
    shutil.rmtree(_replaced(folder), ignore_errors=True)


def _replaced(folder: Path) -> Path:
    return folder.with_name(folder.name + _REPLACED)


def _opened(staging: Path) -> int:
    try:
        staging.mkdir(parents=True, exist_ok=True)
        return os.open(staging, os.O_RDONLY)
    except OSError as error:
        raise CacheError(f"cannot write in {staging.parent}: {error.strerror}", hint="choose another folder with --out") from error


def _lock(descriptor: int, staging: Path, notice: Callable[[str], None]) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        notice(f"another process is writing {staging}; waiting for it")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a network file system without locks
        return False
    return True


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
