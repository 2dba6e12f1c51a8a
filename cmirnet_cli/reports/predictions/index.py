"""What has been predicted, line by line: one index of everything, put together from the parts that processes write as they go.

predictions.jsonl                  one line per mask, in the order of the inputs; appears whole, when all is done
predictions-00000-of-00002.jsonl   what the first of two processes has finished so far; with many machines, a process has a name of its own
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from cmirnet_cli.errors import DataError
from cmirnet_cli.files import new_file, writing

INDEX = "predictions.jsonl"
PARTS = "predictions-*-of-*.jsonl"

Key = tuple[str, str]
"""The photo's name and the expression."""


@dataclass(frozen=True)
class _Place:
    """Where a line stands."""

    file: Path
    start: int
    length: int


@dataclass(frozen=True)
class Index:
    """Where the line of each mask stands; lines themselves stay on the disk."""

    places: Mapping[Key, _Place]

    @classmethod
    def read(cls, folder: Path) -> Index:
        """The index of a folder and the parts beside it; the last line of a file is dropped if it was never finished.

        Raises:
            DataError: another line is damaged.
        """
        return cls.of(index_files(folder))

    @classmethod
    def of(cls, files: Iterable[Path]) -> Index:
        """The index that files make together."""
        return cls({key: place for file in files for key, place in _places(file)})

    def lines(self, keys: Iterable[Key]) -> Iterator[bytes]:
        """The lines of some masks as they stand in the files."""
        with ExitStack() as opened:
            files: dict[Path, BinaryIO] = {}
            for place in (self.places[key] for key in keys):
                if place.file not in files:
                    files[place.file] = opened.enter_context(place.file.open("rb"))
                files[place.file].seek(place.start)
                yield files[place.file].read(place.length)


@dataclass(frozen=True)
class Lines:
    """Lines of an index, read anew each time they are gone through."""

    index: Index
    keys: Sequence[Key]

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, self.index.lines(self.keys))


def index_files(folder: Path) -> list[Path]:
    """The index of a folder, if it is there, and all parts."""
    return [file for file in (folder / INDEX, *sorted(folder.glob(PARTS))) if file.is_file()]


def readable_keys(folder: Path) -> list[Key]:
    """The masks that the undamaged lines of a folder's index and parts are about."""
    found = []
    for line in (line for file in index_files(folder) for line in file.read_bytes().split(b"\n")):
        with suppress(ValueError, KeyError, TypeError):
            found.append(_content(line))
    return found


def part_file(folder: Path, rank: int, count: int) -> Path:
    """The part that the `rank`-th of `count` processes writes."""
    return folder / f"predictions-{rank:05}-of-{count:05}.jsonl"


def own_part(folder: Path) -> Path:
    """A part that only this process writes, whatever others there are, on whatever machines."""
    return folder / f"predictions-{uuid4().hex}-of-many.jsonl"


def append(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Add lines to a part, after whatever was finished of it.

    Raises:
        CmirnetError: they cannot be written.
    """
    data = b"".join(map(encoded_line, lines))
    with writing(file), file.open("ab") as part:
        part.write(data)


def mend(file: Path) -> None:
    """Cut off a last line that was never finished, so that another can be added."""
    if file.is_file():
        data_end = max((place.start + place.length for _, place in _places(file)), default=0)
        with file.open("rb+") as part:
            part.truncate(data_end)


def unite(folder: Path, requested: Sequence[Key]) -> Lines:
    """Make one index of it all and take the parts away: what was requested in its order, after what earlier runs found besides.

    Returns:
        The lines of `requested`, without those that have none.
    """
    files = index_files(folder)
    index = Index.of(files)
    distinct = dict.fromkeys(requested)
    found = [key for key in distinct if key in index.places]
    with new_file(folder / INDEX) as path, path.open("xb") as united:
        united.writelines(index.lines([*(key for key in index.places if key not in distinct), *found]))
    for part in files:
        if part.name != INDEX:
            part.unlink()
    return Lines(Index.read(folder), found)


def _places(file: Path) -> Iterator[tuple[Key, _Place]]:
    start = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            yield _key(line, file, number), _Place(file, start, len(line))
            start += len(line)


def _key(line: bytes, file: Path, number: int) -> Key:
    try:
        return _content(line)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: line {number} is damaged: {error}", hint="start again with --overwrite") from error


def _content(line: bytes) -> Key:
    content = json.loads(line)
    return content["image"], content["expression"]


def encoded_line(line: Mapping[str, Any]) -> bytes:
    """A line as UTF-8; names of files that are not Unicode text keep their odd bytes as JSON escapes."""
    text = json.dumps(line, ensure_ascii=False)
    try:
        return text.encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(line).encode("ascii") + b"\n"
