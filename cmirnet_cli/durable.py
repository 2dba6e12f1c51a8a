"""Files and folders that appear whole or not at all, also when the program is killed or the machine loses power."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex

from cmirnet_cli.errors import CmirnetError

_PREFIX, _SUFFIX = ".cmirnet-", ".tmp"


@contextmanager
def new_file(target: Path, failure: type[CmirnetError] = CmirnetError, *, wait: bool = True) -> Iterator[Path]:
    """A name nobody else has, beside `target`: create it with mode "x"; it becomes `target` when the block ends well.

    Missing parent folders are made. A file that has the name already is replaced in one step.

    Args:
        target: the file's place.
        failure: class of the error.
        wait: whether to wait for the disk. Without, the file is whole if the program is killed, but may be empty if the machine loses
            power soon after: for thousands of files that can be made again, which a disk takes much faster together.

    Raises:
        CmirnetError: of the class `failure`: the file cannot be written (disk full, read-only folder).
    """
    temporary = _unused(target)
    with writing(target, failure, temporary):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            if wait:
                sync(temporary)
            temporary.replace(target)
            if wait:
                sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def new_folder(target: Path, failure: type[CmirnetError] = CmirnetError, *, wait: bool = True) -> AbstractContextManager[Path]:
    """An empty folder beside `target`; with all that the block puts into it, it becomes `target` when the block ends well.

    `wait` as for `new_file`.

    Raises:
        CmirnetError: of the class `failure`: it cannot be written, or `target` exists and is not empty.
    """
    return _folder(target, failure, wait, Path.rename)


@contextmanager
def replaced_folder(target: Path, failure: type[CmirnetError] = CmirnetError) -> Iterator[Path]:
    """As `new_folder`, but what is at `target` makes way, at the last moment, when the new folder is safe."""
    old = target.with_name(f".{target.name}.old")
    with _folder(target, failure, True, partial(exchange, old=old)) as building:
        yield building
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _folder(target: Path, failure: type[CmirnetError], wait: bool, install: Callable[[Path, Path], object]) -> Iterator[Path]:
    temporary = _unused(target)
    with writing(target, failure, temporary):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            for path in (*temporary.rglob("*"), temporary) if wait else ():
                sync(path)
            install(temporary, target)
            if wait:
                sync(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def exchange(new: Path, target: Path, old: Path) -> None:
    """Rename `new` to `target`; what has that name becomes `old`, and has it again if this fails."""
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    try:
        new.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)


def write_bytes(target: Path, data: bytes, *, wait: bool = True) -> None:
    """Write a file whole or not at all; `wait` as for `new_file`.

    Raises:
        CmirnetError: as for `new_file`.
    """
    with new_file(target, wait=wait) as path, path.open("xb") as file:
        file.write(data)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; raises what `write_bytes` raises."""
    write_bytes(target, text.encode("utf-8"))


def require_room(folder: Path, size: int) -> None:
    """Refuse to begin what would not fit on a folder's disk.

    Raises:
        OSError: fewer than `size` bytes are free.
    """
    if (free := shutil.disk_usage(folder).free) < size:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {size / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free")


def reserve(path: Path, size: int) -> None:
    """Claim `size` bytes on the disk for an existing file, where the system can.

    HDF5 cannot recover from a disk that fills up while it writes, so a file's room is claimed before it needs it.

    Raises:
        OSError: there is not that much room.
    """
    require_room(path.parent, size)
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def sweep(folder: Path) -> None:
    """Remove what killed writers left unfinished in `folder`."""
    for leftover in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
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


def _unused(target: Path) -> Path:
    """Short, so that a `target` with the longest name that a file system allows can have it beside it."""
    return target.with_name(f"{_PREFIX}{token_hex(8)}{_SUFFIX}")


@contextmanager
def writing(target: Path, failure: type[CmirnetError] = CmirnetError, temporary: Path | None = None) -> Iterator[None]:
    """Makes an error of the class `failure` of one that the system has while `target` is written, by way of `temporary`.

    Errors about other files, which the block may read, stay as they are.
    """
    try:
        yield
    except OSError as error:
        if not _about(error, target, temporary or target):
            raise
        hint = "check the free space and the folder's permissions"
        raise failure(f"cannot write {target}: {error.strerror or error}", hint=hint) from error


def _about(error: OSError, *written: Path) -> bool:
    """Whether the system's error names one of these, something in it or a folder that holds it, or (HDF5's, a full disk's) no file."""
    if not isinstance(error.filename, (str, bytes)):
        return error.errno is not None
    named = Path(os.fsdecode(error.filename)).absolute()
    return any(named.is_relative_to(path.absolute()) or path.absolute().is_relative_to(named) for path in written)
