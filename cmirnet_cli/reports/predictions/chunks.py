"""What bulk prediction leaves in a folder or a bucket: files of rows, one for each chunk, each whole or not there at all.

settings.json                 what the masks depend on; written first
predictions-00000123.parquet  with `--format parquet`: the rows of a chunk; its metadata say which chunk that was
masks/…                       with `--format png`: the masks,
predictions-00000123.jsonl    then their lines,
predictions-00000123.json     then the mark of the finished chunk

A chunk is finished when its last file is there and holds the chunk's own digest. So resuming looks at one name per chunk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cmirnet_cli.errors import UsageError
from cmirnet_cli.reports.predictions.chunk_files import remove_chunks
from cmirnet_cli.reports.predictions.folder import SETTINGS, in_use, remove_predictions, unreadable_settings
from cmirnet_cli.reports.predictions.index import index_files
from cmirnet_cli.storage.place import Place


class ChunkLike(Protocol):
    """A chunk, as far as it is written down."""

    @property
    def number(self) -> int:
        """Its place among all chunks."""

    @property
    def digest(self) -> str:
        """What distinguishes it from another chunk with this number."""


MOST_SHOWN = 3
"""Inputs or expressions that a message names."""
_COUNTS = ("images", "masks", "empty", "broken")


@dataclass
class Mark:
    """Which chunk was finished, and what was in it.

    Attributes:
        chunk: its digest.
        images: how many images, broken ones included.
        masks: how many masks.
        empty: how many of them have no pixel.
        broken: images that could not be read.
    """

    chunk: str
    images: int = 0
    masks: int = 0
    empty: int = 0
    broken: int = 0
    _last: str | None = None

    def count(self, row: Mapping[str, Any]) -> None:
        """Count a row of the chunk; the rows of an image follow one another."""
        self.images += row["image"] != self._last
        self._last = row["image"]
        self.masks += row["error"] is None
        self.empty += row["area"] == 0
        self.broken += row["error"] is not None

    def encoded(self) -> bytes:
        """The mark as JSON."""
        return json.dumps({"chunk": self.chunk, **{name: getattr(self, name) for name in _COUNTS}}).encode("ascii")

    @classmethod
    def counts(cls, encoded: bytes | None, chunk: ChunkLike) -> dict[str, int] | None:
        """The counts in a mark of this very chunk; None if it is no such mark."""
        try:
            content = json.loads(encoded) if encoded else None
            return {name: int(content[name]) for name in _COUNTS} if content and content["chunk"] == chunk.digest else None
        except (ValueError, KeyError, TypeError):
            return None


def require_place(place: Place, settings: Mapping[str, object], *, skip_existing: bool, overwrite: bool) -> None:
    """Refuse a place that holds predictions, unless they are to be replaced, or continued with settings under which none is lost.

    Args:
        place: where chunks will be written.
        settings: all that masks depend on besides the chunks, `format`, and what the chunks are cut from.
        skip_existing: whether an earlier run is continued.
        overwrite: whether its results are replaced.

    Raises:
        UsageError: it holds predictions, or some that were made with other settings.
        DataError: the earlier run's settings cannot be read.
        StorageError: it cannot be looked at.
    """
    if overwrite:
        return
    written = place.read(SETTINGS)
    if skip_existing:
        if written is not None:
            _require_same(place, written, settings)
        return
    earlier = [file.name for file in index_files(place.folder)] if place.folder else []
    if earlier or written is not None:
        raise in_use(place.shown, (earlier or [SETTINGS])[0])


def begin_place(place: Place, settings: Mapping[str, object], *, skip_existing: bool, overwrite: bool) -> None:
    """Take a place, new or from an earlier run, and write the settings there; with `overwrite`, results of the earlier run are removed.

    Arguments and errors are those of `require_place`.

    Raises:
        CmirnetError: it cannot be written to.
    """
    require_place(place, settings, skip_existing=skip_existing, overwrite=overwrite)
    if overwrite:
        if place.folder and index_files(place.folder):
            remove_predictions(place.folder)
        remove_chunks(place, place.read(SETTINGS))
    place.write(SETTINGS, (json.dumps(dict(settings), indent=2) + "\n").encode("ascii"))


def _require_same(place: Place, written: bytes, settings: Mapping[str, object]) -> None:
    """Refuse other settings. A list, such as that of inputs, may have grown: what was predicted before is then predicted again."""
    try:
        earlier = dict(json.loads(written))
    except (ValueError, TypeError) as error:
        raise unreadable_settings(f"{place.shown}/{SETTINGS}", error) from error
    changed = [
        f"{name} was {_short(earlier.get(name), settings.get(name))}, now {_short(settings.get(name), earlier.get(name))}"
        for name in dict.fromkeys([*settings, *earlier])
        if not _kept(earlier.get(name), settings.get(name))
    ]
    if changed:
        raise UsageError(
            f"{place.shown} already holds predictions made with other settings: {', '.join(changed)}",
            hint="repeat the earlier settings, choose another folder with --out, or replace the earlier predictions with --overwrite",
        )


def _kept(earlier: object, now: object) -> bool:
    return set(earlier) <= set(now) if isinstance(earlier, list) and isinstance(now, list) else earlier == now


def _short(value: object, other: object) -> object:
    """A value for a message; of a list, the first few that the other one lacks."""
    if not isinstance(value, list):
        return "none" if value == "" else value
    differing = [each for each in value if not (isinstance(other, list) and each in other)] or value
    left = len(value) - len(differing[:MOST_SHOWN])
    return ", ".join(map(str, differing[:MOST_SHOWN])) + (f" and {left:,} more" if left else "") or "none"
