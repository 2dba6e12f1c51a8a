"""A chunk of bulk prediction: some photographs, or part of one archive. It says where they are, but does not hold them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from cmirnet_cli.storage.uris import with_query_digest

Rows: TypeAlias = tuple[int, int]
"""Rows of a parquet file: the first, and the one after the last."""


@dataclass(frozen=True)
class BulkPhoto:
    """An image file on this machine or in storage.

    Attributes:
        uri: its path or URI. A URI may hold a signature: show it by way of `storage.uris.shown`.
        name: the relative path, with `/`, that its results are filed under.
        expressions: what to find in it.
    """

    uri: str
    name: str
    expressions: tuple[str, ...]


@dataclass(frozen=True)
class Container:
    """A tar archive in WebDataset's layout, or some rows of a parquet file.

    Attributes:
        uri: its path or URI.
        name: the relative path that its images' results are filed under.
        expressions: what to find in every image.
        text: the column, or the suffix of the members, that holds an image's own expressions; empty where there are none.
        size: of the file in bytes, where that is known.
        rows: those of a parquet file; None for a tar archive.
    """

    uri: str
    name: str
    expressions: tuple[str, ...]
    text: str = ""
    size: int | None = None
    rows: Rows | None = None


@dataclass(frozen=True)
class Chunk:
    """What is finished as a whole.

    Attributes:
        number: its place among all chunks of a request, from 0.
        photos: image files; empty if there is a container.
        container: one archive, whose members are read one after the other.
    """

    number: int
    photos: tuple[BulkPhoto, ...] = ()
    container: Container | None = None

    @cached_property
    def digest(self) -> str:
        """Sha256 of the chunk's places, names and expressions, without the signatures of addresses, which change."""
        content: list[object] = [[with_query_digest(photo.uri), photo.name, photo.expressions] for photo in self.photos]
        if (own := self.container) is not None:
            content.append([with_query_digest(own.uri), own.name, own.expressions, own.text, own.size, own.rows])
        return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()
