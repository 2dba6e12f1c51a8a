"""Holding a folder, so that two processes do not write it at once and a killed one lets go of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

FOLDERS_OPEN = hasattr(os, "O_DIRECTORY")
"""Whether the system opens folders, as Unix does and Windows does not: to lock one, and to wait until its names are on the disk."""


@contextmanager
def held(folder: Path, waiting: Callable[[], object] | None = None) -> Iterator[bool]:
    """Hold a folder, under whatever name, for the block or until this process dies: a killed one lets go by itself.

    Args:
        folder: it must be there, unless this may wait.
        waiting: called before this waits for another process that holds the folder. That one may rename it: what is held then is a new
            folder of the same name. By default, nobody is waited for.

    Yields:
        False if another process holds it, or if the system cannot lock it (Windows, some network disks).
    """
    if waiting:
        folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as handles:
        locked: bool | None = None
        while locked is None:
            handles.close()
            if waiting:
                with suppress(FileExistsError):
                    folder.mkdir()
            locked = FOLDERS_OPEN and _hold(folder, waiting, handles)
        yield locked


def _hold(folder: Path, waiting: Callable[[], object] | None, handles: ExitStack) -> bool | None:
    """Whether it is held; None if whoever held it before gave it another name."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        handles.callback(os.close, descriptor)
        locked = _lock(descriptor, waiting)
        return locked if not waiting or os.path.samestat(folder.stat(), os.fstat(descriptor)) else None
    except FileNotFoundError:
        if waiting and not folder.is_symlink():
            return None
        raise


def _lock(descriptor: int, waiting: Callable[[], object] | None) -> bool:
    from filelock import lock_descriptor  # slow to import

    try:
        if lock_descriptor(descriptor, blocking=False):
            return True
    except OSError:  # a network file system without locks
        return False
    if waiting is None:
        return False
    waiting()
    return lock_descriptor(descriptor)
