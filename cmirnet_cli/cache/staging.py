"""The folder in which a cache, or its text features, grow beside their place, over several runs if need be, until they are complete."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cmirnet_cli.errors import CacheError
from cmirnet_cli.files import exchange, new_file, sha256_of, sync
from cmirnet_cli.files.locks import held

_PARTIAL, _KEY = ".partial-", 12
_REPLACED = ".replaced"
_DIGEST = ".sha256"


def staging_folder(folder: Path, key: str) -> Path:
    """Where the cache with this fingerprint key grows."""
    return folder.with_name(f"{folder.name}{_PARTIAL}{key[:_KEY]}")


def unfinished(folder: Path) -> list[Path]:
    """Folders in which a cache named `folder` was started but not finished."""
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
    """Make `staging` and hold it; another process that holds it is waited for, with a notice.

    If nothing was written into it, it goes away again.

    Yields:
        False where the system cannot lock a folder; then others may write here too.

    Raises:
        CacheError: it cannot be made.
    """
    with ExitStack() as hold:
        try:
            locked = hold.enter_context(held(staging, lambda: notice(f"another process is writing {staging}; waiting for it")))
        except OSError as error:
            raise CacheError(f"cannot write in {staging.parent}: {error.strerror}", hint="choose another folder with --out") from error
        own = staging.stat()
        try:
            yield locked
        finally:
            with suppress(OSError):  # it is not empty, or it has its final name and somebody else's stands here
                if os.path.samestat(staging.stat(), own):
                    staging.rmdir()


def record(path: Path) -> str:
    """Note beside a finished file the sha256 of its content, by which a later run can trust it; returns it."""
    digest = sha256_of(path)
    with new_file(path.with_name(path.name + _DIGEST), CacheError) as note:
        note.write_text(digest, encoding="ascii")
    return digest


def recorded(path: Path) -> str | None:
    """The sha256 of a file that still has the content that was noted, else None. HDF5 does not open it: it may hang on a damaged file."""
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
