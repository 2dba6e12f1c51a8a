"""Files and folders that appear whole or not at all, also when the program is killed or the machine loses power."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
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

    What killed writers of the same folder left beside it goes first. `wait` as for `new_file`.

    Raises:
        CmirnetError: of the class `failure`: it cannot be written, or `target` exists and is not empty.
    """
    return _folder(target, failure, wait, Path.rename)


@contextmanager
def replaced_folder(target: Path, failure: type[CmirnetError] = CmirnetError) -> Iterator[Path]:
    """As `new_folder`, but what is at `target` makes way, at the last moment, when the new folder is safe.

    Where `target` is a link, the folder that it points to is the one that is replaced, or made.
    """
    place = _place(target, failure)
    old = place.with_name(f".{place.name}.old")
    with _folder(place, failure, True, partial(exchange, old=old)) as building:
        yield building
    _discard(old)


def _place(target: Path, failure: type[CmirnetError]) -> Path:
    """`target`, or what it points to if it is a link; the folder above that is not made: it may be on a disk that is not there."""
    with writing(target, failure):
        if not target.is_symlink():
            return target
        place = Path(os.path.realpath(target))
    with writing(place, failure):
        place.parent.stat()
    return place


@contextmanager
def _folder(target: Path, failure: type[CmirnetError], wait: bool, install: Callable[[Path, Path], object]) -> Iterator[Path]:
    unmarked, marked = _unused(target), _unused(target, _mark(target))
    with writing(target, failure, unmarked, marked):
        try:
            _sweep_dead(target)
            unmarked.mkdir(parents=True)
            with _locked(unmarked) as locked:
                temporary = unmarked.rename(marked) if locked else unmarked
                yield temporary
                for path in (*temporary.rglob("*"), temporary) if wait else ():
                    sync(path)
                install(temporary, target)
            if wait:
                sync(target.parent)
        finally:
            for leftover in (unmarked, marked):
                shutil.rmtree(leftover, ignore_errors=True)


def exchange(new: Path, target: Path, old: Path) -> None:
    """Rename `new` to `target`; what has that name becomes `old`, and has it again if this fails."""
    if target.exists():
        _discard(old)
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
        _discard(leftover)


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sweep_dead(target: Path) -> None:
    """Remove the marked folders beside `target` that nobody holds: a writer holds its folder before it is marked, until it dies.

    What may not be opened or removed does no harm; what is gone by now has just become the target.
    """
    for leftover in target.parent.glob(f"{_PREFIX}{_mark(target)}*{_SUFFIX}"):
        with suppress(OSError), _locked(leftover) as dead:
            if dead:
                shutil.rmtree(leftover)


def _mark(target: Path) -> str:
    """The same for all writers of `target` under one running system: over a network disk, locks may not reach another computer.

    Where the system does not tell which one it is, no two marks are the same.
    """
    try:
        system = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        system = token_hex(8).encode("ascii")
    return hashlib.sha256(system + os.fsencode(target.name)).hexdigest()[:8] + "-"


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold a folder, under whatever name, for the block or until the process dies; False if another does, or it cannot be held."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process holds it, or a network file system is without locks
        return False
    return True


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


def _unused(target: Path, mark: str = "") -> Path:
    """Short, so that a `target` with the longest name that a file system allows can have it beside it."""
    return target.with_name(f"{_PREFIX}{mark}{token_hex(8)}{_SUFFIX}")


@contextmanager
def writing(target: Path, failure: type[CmirnetError] = CmirnetError, *temporary: Path) -> Iterator[None]:
    """Makes an error of the class `failure` of one that the system has while `target` is written, by way of `temporary`.

    Errors about other files, which the block may read, stay as they are.
    """
    try:
        yield
    except OSError as error:
        if not _about(error, target, *temporary):
            raise
        hint = "check the free space and the folder's permissions"
        raise failure(f"cannot write {target}: {error.strerror or error}", hint=hint) from error


def _about(error: OSError, *written: Path) -> bool:
    """Whether the system's error names one of these, something in it or a folder that holds it, or (HDF5's, a full disk's) no file."""
    if not isinstance(error.filename, (str, bytes)):
        return error.errno is not None
    named = Path(os.fsdecode(error.filename)).absolute()
    return any(named.is_relative_to(path.absolute()) or path.absolute().is_relative_to(named) for path in written)
