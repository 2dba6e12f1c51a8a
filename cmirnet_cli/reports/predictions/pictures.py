"""Masks of bulk prediction as PNG files, and a file of lines for each chunk; named and described as in a local folder of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmirnet_cli.files import image_bytes
from cmirnet_cli.images.drawing import mask_picture
from cmirnet_cli.images.masks import decode_mask
from cmirnet_cli.reports.predictions.chunk_files import part_name, remove_chunk
from cmirnet_cli.reports.predictions.chunks import ChunkLike, Mark
from cmirnet_cli.reports.predictions.folder import MASKS, mask_name
from cmirnet_cli.reports.predictions.index import encoded_line
from cmirnet_cli.storage.ahead import read_ahead
from cmirnet_cli.storage.place import Place


@dataclass(frozen=True)
class PngChunks:
    """Writes the masks of each chunk by several threads, then its lines, and at the end its mark.

    Attributes:
        place: where to.
    """

    place: Place

    def finished(self, chunk: ChunkLike) -> Mapping[str, int] | None:
        """What was counted in this very chunk by the run that finished it; None if none did."""
        return Mark.counts(self.place.read(part_name(chunk.number, "json")), chunk)

    def write(self, chunk: ChunkLike, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write masks as rows come. What another chunk of this number left goes first.

        Raises:
            StorageError, CmirnetError: something cannot be written.
        """
        remove_chunk(self.place, chunk.number, "jsonl")
        mark = Mark(chunk.digest)
        with self.place.new_file(part_name(chunk.number, "jsonl")) as path, path.open("xb") as lines:
            for line in read_ahead(rows, self._written):
                mark.count(line)
                lines.write(encoded_line(line))
        self.place.write(part_name(chunk.number, "json"), mark.encoded())

    def _written(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The line of a row whose mask is written."""
        name = None
        if row["rle"] is not None:
            height, width = row["size"]
            mask = decode_mask(row["rle"]["counts"].encode("ascii"), height, width).astype(np.bool_)
            name = (Path(MASKS) / mask_name(Path(row["image"]), row["expression"])).as_posix()
            self.place.write(name, image_bytes(mask_picture(mask)), wait=False)
        return {"image": row["image"], "path": row["path"], "expression": row["expression"], "mask": name, **_rest(row)}


def _rest(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("score", "known", "size", "box", "area", "rle", "error")}
