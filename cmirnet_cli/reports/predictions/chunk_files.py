"""The files that chunks of bulk prediction leave in a folder or a bucket: how they are called, and how they go."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from cmirnet_cli.storage.place import Place

FORMAT = "format"
"""Under which name the settings hold what bulk prediction writes; those of other runs have no such name."""
_PART = re.compile(r"predictions-(?P<number>\d{8,})\.(?P<kind>parquet|jsonl|json)")


def part_name(number: int, kind: str) -> str:
    """The name of a chunk's file of a kind: `parquet`, `jsonl` or `json`."""
    return f"predictions-{number:08}.{kind}"


def remove_chunks(place: Place, first: int = 0) -> int:
    """Remove all that chunks from number `first` on left in a place, each chunk's mark before its masks; how many files of rows."""
    removed = 0
    for name in place.names():
        part = _PART.fullmatch(name)
        if part and int(part["number"]) >= first and part["kind"] != "json":
            remove_chunk(place, int(part["number"]), part["kind"])
            removed += 1
    return removed


def remove_chunk(place: Place, number: int, kind: str) -> None:
    """Remove the rows of a chunk, and its masks where there are any; a removal that was broken off can be repeated."""
    if kind == "jsonl":
        lines = place.read(part_name(number, kind))
        if lines is None:
            return
        place.remove(part_name(number, "json"))
        for line in _lines(lines):
            if isinstance(name := line.get("mask"), str) and name.startswith("masks/"):
                place.remove(name)
    place.remove(part_name(number, kind))


def _lines(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            yield told
