"""Rows of bulk prediction as parquet: one file per chunk, for pandas, DuckDB, the library `datasets` and anything else that reads parquet.

Requires pyarrow, the extra `[parquet]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from cmirnet_cli.errors import DataError, NotThereError, UsageError
from cmirnet_cli.reports.predictions.chunk_files import part_name
from cmirnet_cli.reports.predictions.chunks import ChunkLike, Mark
from cmirnet_cli.storage.place import Place
from cmirnet_cli.storage.reading import opened

if TYPE_CHECKING:
    from pyarrow import Schema

_MARK = b"cmirnet"
"""The name of the mark among a file's metadata."""
_ROWS, _BYTES = 1000, 1 << 24
"""The most rows of a row group, and bytes of masks after which one ends."""


@dataclass(frozen=True)
class ParquetChunks:
    """Writes each chunk's rows as one parquet file.

    Attributes:
        place: where to.
    """

    place: Place

    def mark(self, number: int) -> bytes | None:
        """The mark of the finished chunk with a number; None if none is there, or the file is damaged."""
        from pyarrow import ArrowException
        from pyarrow.parquet import read_metadata

        name = part_name(number, "parquet")
        try:
            if self.place.folder:
                metadata = read_metadata(self.place.folder / name).metadata
            else:
                with opened(self.place.at(name)) as file:
                    metadata = read_metadata(file).metadata
        except (FileNotFoundError, NotThereError, ArrowException):
            return None
        except OSError as error:
            if error.errno is not None:
                raise DataError(f"cannot read {self.place.at(name)}: {error.strerror}", hint="check the folder's permissions") from error
            return None  # pyarrow's word for a damaged footer, not the system's
        return (metadata or {}).get(_MARK)

    def finished(self, chunk: ChunkLike) -> Mapping[str, int] | None:
        """What was counted in this very chunk by the run that finished it; None if none did."""
        return Mark.counts(self.mark(chunk.number), chunk)

    def write(self, chunk: ChunkLike, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the rows as they come; the file appears when all are written.

        Raises:
            StorageError, CmirnetError: it cannot be written.
        """
        from pyarrow import Table
        from pyarrow.parquet import ParquetWriter

        mark, waiting, size = Mark(chunk.digest), [], 0
        with (
            self.place.new_file(part_name(chunk.number, "parquet")) as path,
            path.open("xb") as file,
            ParquetWriter(file, schema(), compression="zstd") as parquet,
        ):
            for row in rows:
                mark.count(row)
                waiting.append(_readable(row))
                size += len(row["rle"]["counts"]) if row["rle"] else 0
                if len(waiting) == _ROWS or size >= _BYTES:
                    parquet.write_table(Table.from_pylist(waiting, schema()))
                    waiting, size = [], 0
            if waiting:
                parquet.write_table(Table.from_pylist(waiting, schema()))
            parquet.add_key_value_metadata({_MARK: mark.encoded()})


def require_pyarrow() -> None:
    """Refuse to write parquet where pyarrow is missing.

    Raises:
        UsageError: it is.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError("--format parquet needs pyarrow, which is not installed", hint="pip install 'cmirnet[parquet]'") from error


@cache
def schema() -> Schema:
    """The columns, called as the fields of `predictions.jsonl`. `size` is [height, width], `box` [left, top, width, height]."""
    import pyarrow as pa

    numbers = pa.list_(pa.int32())
    return pa.schema(
        {
            "image": pa.string(),
            "path": pa.string(),
            "expression": pa.string(),
            "score": pa.float64(),
            "known": pa.bool_(),
            "size": numbers,
            "box": numbers,
            "area": pa.int64(),
            "rle": pa.struct({"size": numbers, "counts": pa.string()}),
            "error": pa.string(),
        }
    )


def _readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose texts are Unicode: the odd bytes that names of local files may have become escapes."""
    return {name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value for name, value in row.items()}
