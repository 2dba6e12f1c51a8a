"""The files that chunks of bulk prediction leave in a folder or a bucket: their names, and how they are removed.

Between two runs an image may move from one chunk to another. So a mask of a replaced chunk may be one that another chunk has just written.
Therefore no mask is removed while chunks are written: `predictions-00000123.stale` keeps the names of those that chunk 123 had. When all
chunks are there, stale masks that no line names are removed. If that is interrupted, the next run does it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from cmirnet_cli.storage.ahead import read_ahead
from cmirnet_cli.storage.place import Place

FORMAT = "format"
"""The key under which the settings of bulk prediction hold what it writes; settings of other runs have no such key."""
_PART = re.compile(r"predictions-(?P<number>\d{8,})\.(?P<kind>parquet|jsonl|json|stale)")
_MASK = re.compile(r"masks/(?!(.*/)?\.\./)(.*/)?[^/]+\.[^/.]+\.png", re.DOTALL)
"""The name of a mask, as `names.mask_name` makes it: that of its image, then its expression. None leads out of the place."""


def part_name(number: int, kind: str) -> str:
    """The name of a chunk's file of a kind: `parquet`, `jsonl`, `json` or `stale`."""
    return f"predictions-{number:08}.{kind}"


def retire_chunk(place: Place, number: int) -> None:
    """Remove the mark and the lines of a chunk, if they are there. Its masks become stale."""
    lines = place.read(part_name(number, "jsonl"))
    if lines is None:
        return
    place.remove(part_name(number, "json"))
    add_stale(place, number, _masks(lines))
    place.remove(part_name(number, "jsonl"))


def add_stale(place: Place, number: int, masks: Iterable[str]) -> None:
    """Note masks of a chunk, by their names in the place, that may turn out to be in no line once all chunks are there."""
    name = part_name(number, "stale")
    more = b"".join(json.dumps({"mask": mask}).encode("ascii") + b"\n" for mask in masks)
    if more:
        place.write(name, (place.read(name) or b"") + more)


def retire_chunks(place: Place, first: int) -> int:
    """Remove the rows of all chunks from number `first` on; returns how many there were."""
    retired = 0
    for name in _parts(place, "parquet", "jsonl"):
        if (number := _number(name)) < first:
            continue
        if name.endswith("parquet"):
            place.remove(name)
        else:
            retire_chunk(place, number)
        retired += 1
    return retired


def remove_stale_masks(place: Place, chunks: int) -> None:
    """Remove stale masks that no line names, once all chunks are written. Only the names of stale masks are in memory.

    Args:
        place: where they are.
        chunks: how many there are. If fewer are seen, as can happen on a network disk for a moment, the next run removes them.
    """
    stale = list(_parts(place, "stale"))

    def named(part: str) -> set[str]:
        return set(_masks(place.read(part) or b""))

    unnamed = {mask for name in stale for mask in named(name)}
    for masks in read_ahead((part_name(_number(name), "jsonl") for name in stale), named):
        unnamed -= masks  # most stay in their chunk, so that others need not be read
    if unnamed:
        seen = 0
        for masks in read_ahead(_parts(place, "jsonl"), named):
            unnamed -= masks
            seen += 1
        if seen < chunks:
            return
    _remove(place, unnamed)
    _remove(place, stale)


def remove_chunks(place: Place, settings: bytes | None) -> None:
    """Remove all that chunks left in a place, their marks first, so that an interrupted removal can be repeated.

    Args:
        place: where they are.
        settings: the place's own. If they are those of chunks with masks, all masks go, also those of a chunk that was never finished.
    """
    _remove(place, _parts(place, "json"))
    if _wrote_masks(settings):
        _remove(place, filter(_MASK.fullmatch, place.below("masks")))
    else:
        for name in _parts(place, "jsonl", "stale"):
            _remove(place, _masks(place.read(name) or b""))
    _remove(place, _parts(place, "parquet", "jsonl", "stale"))


def _parts(place: Place, *kinds: str) -> Iterator[str]:
    return (name for name in place.names() if (part := _PART.fullmatch(name)) and part["kind"] in kinds)


def _number(name: str) -> int:
    return int(name.removeprefix("predictions-").partition(".")[0])


def _remove(place: Place, names: Iterable[str]) -> None:
    for _ in read_ahead(names, place.remove):
        pass


def _wrote_masks(settings: bytes | None) -> bool:
    try:
        content = json.loads(settings or b"null")
    except ValueError:
        return False
    return isinstance(content, dict) and content.get(FORMAT) == "png"


def _masks(lines: bytes) -> Iterator[str]:
    """The names of masks that undamaged lines hold."""
    for line in lines.splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict) and isinstance(name := content.get("mask"), str) and _MASK.fullmatch(name):
            yield name
