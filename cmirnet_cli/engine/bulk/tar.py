"""The photographs of a tar archive in WebDataset's layout: members of one sample are neighbours and share their name up to its first dot.

Archives are read from beginning to end, compressed ones too. `text` names the member that holds a sample's own expressions, one per line:
`000123.txt` for "txt". Where a sample has no such member, that field of its `000123.json` counts, which is text or a list of texts.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from cmirnet_cli.engine.bulk.chunk import Container
from cmirnet_cli.engine.bulk.expressions import with_own
from cmirnet_cli.engine.bulk.read import LARGEST_FILE, StoredPhoto, too_large
from cmirnet_cli.errors import DataError, ImageError
from cmirnet_cli.images.formats import MACOS, kind_of
from cmirnet_cli.storage.ahead import in_background
from cmirnet_cli.storage.reading import opened
from cmirnet_cli.storage.uris import is_uri, shown

_LONGEST_TEXT = 1 << 20
"""Bytes of a member with expressions."""
_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, LZMAError)


def tar_photos(container: Container) -> Iterator[StoredPhoto]:
    """The photographs of an archive; where it is damaged, one more at its end that has this as its problem.

    Raises:
        StorageError: the storage fails.
        DataError: the archive is on this machine and not there, or may not be read.
    """
    return in_background(_photos(container))


def _photos(container: Container) -> Iterator[StoredPhoto]:
    where = shown(container.uri)
    with _open(container.uri) as file:
        try:
            with tarfile.open(fileobj=file, mode="r|*", tarinfo=_Checked) as archive:
                members = (_read(archive, info, where) for info in archive if info.isreg() and _is_used(info.name, container.text))
                for _, sample in groupby(members, _Member.sample):
                    yield from _of_sample(container, where, sample)
        except _DAMAGE as error:
            problem = ImageError(f"{where} cannot be read to its end: {error}", hint="the archive is cut off or damaged: write it again")
            yield StoredPhoto(container.name, where, (), problem)


def _open(uri: str) -> IO[bytes]:
    if is_uri(uri):
        return opened(uri)
    try:
        return Path(uri).open("rb")
    except OSError as error:
        raise DataError(f"cannot read {uri}: {error.strerror}", hint="put the archive there, or leave it out") from error


class _Checked(tarfile.TarInfo):
    """A header of an archive. Where a later header is damaged, tarfile would take it for the end and silently lose the rest."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Checked:
        try:
            return super().fromtarfile(archive)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"the header at byte {archive.offset:,} is damaged") from error
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"its end mark is missing after {archive.offset:,} bytes") from error


@dataclass(frozen=True)
class _Member:
    """A file in an archive, with its content or why that is not read."""

    name: str
    content: bytes | ImageError

    def sample(self) -> str:
        """What the members of one sample share."""
        path = PurePosixPath(self.name)
        return str(path.with_name(path.name.split(".")[0]) if path.name.split(".")[0] else path)

    def suffix(self) -> str:
        """The name after its first dot."""
        return PurePosixPath(self.name).name.partition(".")[2]


def _is_picture(name: str) -> bool:
    return kind_of(Path(name)) not in (None, MACOS)


def _is_used(name: str, text: str) -> bool:
    return _is_picture(name) or (bool(text) and name.endswith((f".{text}", ".json")) and kind_of(Path(name)) != MACOS)


def _read(archive: tarfile.TarFile, info: tarfile.TarInfo, where: str) -> _Member:
    most = LARGEST_FILE if _is_picture(info.name) else _LONGEST_TEXT
    if info.size > most:
        return _Member(info.name, too_large(f"{where}/{info.name}"))
    file = archive.extractfile(info)
    return _Member(info.name, file.read() if file else b"")


def _of_sample(container: Container, where: str, sample: Iterable[_Member]) -> Iterator[StoredPhoto]:
    """The pictures of a sample, with its own expressions after those for all."""
    expressions: tuple[str, ...] | ImageError = container.expressions
    if container.text:
        sample = list(sample)
        expressions = with_own(container.expressions, _texts(sample, container.text), f"{where}/{sample[0].sample()}", container.text)
    for member in sample:
        if _is_picture(member.name):
            path = f"{where}/{member.name}"
            content = expressions if isinstance(expressions, ImageError) else member.content
            found = () if isinstance(expressions, ImageError) else expressions
            yield StoredPhoto(f"{container.name}/{member.name.removeprefix('./').lstrip('/')}", path, found, content)


def _texts(sample: list[_Member], text: str) -> object:
    """A sample's own expressions: from its text member, or from the field of its JSON; None if there are none, or they cannot be read."""
    content = {member.suffix(): member.content for member in sample}
    own, record = content.get(text), content.get("json")
    if isinstance(own, bytes):
        return own.decode("utf-8-sig", "replace").splitlines()
    try:
        described = json.loads(record) if isinstance(record, bytes) else None
    except (ValueError, RecursionError):
        return None
    return described.get(text) if isinstance(described, dict) else None
