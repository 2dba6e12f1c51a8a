"""Masks of bulk prediction as PNG files, and a file of lines for each chunk; named and described as in a local folder of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmirnet_cli.errors import CmirnetError
from cmirnet_cli.files import image_bytes
from cmirnet_cli.images.drawing import mask_picture
from cmirnet_cli.images.masks import decode_mask
from cmirnet_cli.reports.predictions.chunk_files import add_stale, part_name, retire_chunk
from cmirnet_cli.reports.predictions.chunks import ChunkLike, Mark
from cmirnet_cli.reports.predictions.folder import MASKS
from cmirnet_cli.reports.predictions.index import encoded_line
from cmirnet_cli.reports.predictions.names import mask_name
from cmirnet_cli.storage.ahead import read_ahead
from cmirnet_cli.storage.place import Place


@dataclass(frozen=True)
class PngChunks:
    """Writes the masks of each chunk by several threads, then its lines, and at the end its mark.

    Attributes:
        place: where to.
    """

    place: Place

    def mark(self, number: int) -> bytes | None:
        """The mark of the finished chunk with a number; None if none is there."""
        return self.place.read(part_name(number, "json"))

    def finished(self, chunk: ChunkLike) -> Mapping[str, int] | None:
        """What was counted in this very chunk by the run that finished it; None if none did."""
        return Mark.counts(self.mark(chunk.number), chunk)

    def write(self, chunk: ChunkLike, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write masks as rows come. Masks of another chunk with this number become stale, and so do those of this one if it is interrupted.

        Raises:
            StorageError, CmirnetError: something cannot be written.
        """
        retire_chunk(self.place, chunk.number)
        mark, begun = Mark(chunk.digest), list[str]()
        try:
            with self.place.new_file(part_name(chunk.number, "jsonl")) as path, path.open("xb") as lines:
                for line in read_ahead(_named(rows, begun), self._written):
                    mark.count(line)
                    lines.write(encoded_line(line))
            self.place.write(part_name(chunk.number, "json"), mark.encoded())
        except BaseException:
            with suppress(CmirnetError):  # storage that fails may fail here too; the first error says why
                add_stale(self.place, chunk.number, begun)
            raise

    def _written(self, line: Mapping[str, Any]) -> Mapping[str, Any]:
        """A line whose mask is written."""
        if line["mask"] is not None:
            height, width = line["size"]
            mask = decode_mask(line["rle"]["counts"].encode("ascii"), height, width).astype(np.bool_)
            self.place.write(line["mask"], image_bytes(mask_picture(mask)), wait=False)
        return line


def _named(rows: Iterable[Mapping[str, Any]], begun: list[str]) -> Iterator[Mapping[str, Any]]:
    """The lines of rows. The names of their masks are put into `begun` before they are written."""
    for row in rows:
        name = None
        if row["rle"] is not None:
            name = (Path(MASKS) / mask_name(Path(row["image"]), row["expression"])).as_posix()
            begun.append(name)
        yield {"image": row["image"], "path": row["path"], "expression": row["expression"], "mask": name, **_rest(row)}


def _rest(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("score", "known", "size", "box", "area", "rle", "error")}
