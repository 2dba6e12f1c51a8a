"""Files and folders that appear whole or not at all, also when the program is killed or the machine loses power."""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from cmirnet_cli.errors import CacheError, CmirnetError, UsageError

if TYPE_CHECKING:
    from PIL import Image

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
        locked = _wait_for_lock(descriptor, staging, notice)
        while not _is(staging, descriptor):  # the writer we waited for gave it its final name
            stale, descriptor = descriptor, _opened(staging)
            os.close(stale)
            locked = _wait_for_lock(descriptor, staging, notice)
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


def _wait_for_lock(descriptor: int, staging: Path, notice: Callable[[str], None]) -> bool:
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


SMALLEST_FILE = 4096
"""Bytes that any file takes on a disk."""


def require_free(paths: Sequence[Path], *, overwrite: bool) -> Sequence[Path]:
    """The paths that are about to be written, if nothing stands there.

    Raises:
        UsageError: a file exists and may not be replaced.
    """
    taken = [path for path in paths if path.exists()]
    if taken and not overwrite:
        raise UsageError(f"{', '.join(map(str, taken))} exists already", hint="choose another place, or replace it with --overwrite")
    return paths


def require_writable(folder: Path) -> None:
    """Refuse a folder in which no file can be made; one that is missing must be possible in the nearest that is there.

    Raises:
        CmirnetError: it may not be written to.
    """
    nearest = _nearest(folder)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise CmirnetError(f"cannot write to {folder}", hint="check the folder's permissions, or choose another one")


def require_disk_room(folder: Path, needed: int) -> None:
    """Refuse a disk that has not even room for the least that will be written, in bytes.

    Raises:
        CmirnetError: it has not that much room.
    """
    free = shutil.disk_usage(_nearest(folder)).free
    if free < needed:
        raise CmirnetError(
            f"only {free / 1e6:,.1f} MB free for {folder}; at least {needed / 1e6:,.1f} MB are needed",
            hint="free some space, or choose another disk",
        )


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def picture_format(path: Path) -> str:
    """The picture format that the suffix of `path` names.

    Raises:
        UsageError: it names none.
    """
    from PIL import Image

    form = Image.registered_extensions().get(path.suffix.lower())
    if form not in Image.SAVE:
        raise UsageError(f"cannot write a picture as {path.name}: {path.suffix or 'no suffix'} names no picture format", hint="use .png")
    return form


def write_image(path: Path, image: Image.Image, *, wait: bool = True) -> None:
    """Write a picture in the format that the suffix of `path` names, whole or not at all; `wait` as for `durable.new_file`.

    Raises:
        UsageError: as for `picture_format`.
        CmirnetError: as for `write_bytes`.
    """
    encoded = io.BytesIO()
    image.save(encoded, picture_format(path), quality=92)
    write_bytes(path, encoded.getvalue(), wait=wait)
