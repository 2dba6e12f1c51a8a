"""Bulk prediction from storage that holds very many images: how soon the first mask comes, and what memory and time more of them take.

    python -m tools.measure.storage --entries 10000000 --images 1000 --images 10000

The storage is a stand-in that lists and draws images as they are asked for, and the network is tiny: what is measured is all the rest.
"""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import fsspec
import typer
from fsspec.spec import AbstractFileSystem
from PIL import Image

from cmirnet_cli.benchmarks.stand_ins import random_bundle
from cmirnet_cli.console import console
from cmirnet_cli.engine.bulk.chunks import BulkRequest, chunks
from cmirnet_cli.engine.bulk.finish import BulkSettings, finish_chunk
from cmirnet_cli.engine.devices import pick_device
from cmirnet_cli.engine.environment import in_fresh_process, machine, machine_in_words, peak_memory_mib
from cmirnet_cli.engine.prediction.segmenter import Segmenter
from cmirnet_cli.reports.predictions.parquet import ParquetChunks
from cmirnet_cli.storage.place import Place

SCHEME, EXPRESSION = "drawn", "the large red circle"
TINY = {"text.scratch_layers": 1, "text.scratch_heads": 2, "model.text_width": 24, "model.fusion_width": 32}
SIDE, CHUNK = 64, 1000


class DrawnStorage(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A bucket of so many images as the address says, such as drawn://10000: all in one folder, listed piece by piece."""

    protocol = SCHEME
    cachable = False

    def info(self, path: str, **_: object) -> dict[str, Any]:
        """The bucket."""
        return {"name": self._strip_protocol(path), "type": "directory", "size": 0}

    def ls(self, path: str, detail: bool = True, **_: object) -> Iterator[dict[str, Any]]:
        """The images, as they are taken."""
        bucket = self._strip_protocol(path)
        return ({"name": f"{bucket}/{number:010}.png", "type": "file", "size": 1} for number in range(int(bucket)))

    def _open(self, path: str, mode: str = "rb", **_: object) -> io.BytesIO:
        encoded = io.BytesIO()
        Image.new("RGB", (SIDE, SIDE), (int(path[-7:-4]) % 256, 0, 99)).save(encoded, "PNG")
        return io.BytesIO(encoded.getvalue())


@dataclass(frozen=True)
class Listed:
    """Going through a listing without predicting.

    Attributes:
        entries: how many there are.
        first_mask_seconds: from an opened model to the first chunk's first row.
        seconds: for the whole listing.
        memory_mib: peak of the process at the first mask, and at the end.
    """

    entries: int
    first_mask_seconds: float
    seconds: float
    memory_mib: tuple[float, float]


@dataclass(frozen=True)
class Predicted:
    """Predicting on all of a bucket, into parquet."""

    images: int
    images_per_second: float
    memory_mib: float


def main(
    entries: Annotated[int, typer.Option("--entries", min=1, metavar="N", help="Images to list.")] = 10_000_000,
    images: Annotated[list[int], typer.Option("--images", min=1, metavar="N", help="Images to predict; can be repeated.")] = [1000, 10_000],  # noqa: B006
) -> None:
    """Measure listing and predicting from a bucket, each in a process of its own."""
    listed = in_fresh_process(measure_listing, entries)
    predicted = [in_fresh_process(measure_predicting, count) for count in images]
    first, last = listed.memory_mib
    console.result(
        {"machine": machine(), "listed": asdict(listed), "predicted": [asdict(each) for each in predicted]},
        machine_in_words(),
        f"{listed.entries:,} entries: first mask after {listed.first_mask_seconds:.1f} s at {first:,.0f} MiB; "
        f"all listed in {listed.seconds:.0f} s at {last:,.0f} MiB",
        *(f"{each.images:,} images: {each.images_per_second:.1f} images/s, {each.memory_mib:,.0f} MiB" for each in predicted),
    )


def measure_listing(entries: int) -> Listed:
    """The first mask, then the rest of the listing."""
    fsspec.register_implementation(SCHEME, DrawnStorage, clobber=True)
    model = _model()
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = chunks(BulkRequest([f"{SCHEME}://{entries}"], (EXPRESSION,), chunk_size=1))
        finish_chunk(model, next(found), ParquetChunks(Place(folder)), BulkSettings())
        first, memory = time.perf_counter() - start, peak_memory_mib()
    deque(chunks(BulkRequest([f"{SCHEME}://{entries}"], (EXPRESSION,), chunk_size=CHUNK)), maxlen=0)
    return Listed(entries, first, time.perf_counter() - start, (memory, peak_memory_mib()))


def measure_predicting(images: int) -> Predicted:
    """All images, chunk after chunk."""
    fsspec.register_implementation(SCHEME, DrawnStorage, clobber=True)
    model = _model()
    with TemporaryDirectory() as folder:
        writer, start = ParquetChunks(Place(folder)), time.perf_counter()
        for chunk in chunks(BulkRequest([f"{SCHEME}://{images}"], (EXPRESSION,), chunk_size=CHUNK)):
            finish_chunk(model, chunk, writer, BulkSettings())
        seconds = time.perf_counter() - start
        assert len(list(Path(folder).glob("*.parquet"))) == -(-images // CHUNK)
    return Predicted(images, images / seconds, peak_memory_mib())


def _model() -> Segmenter:
    return Segmenter(random_bundle("resnet-nano", SIDE, [EXPRESSION], **TINY), pick_device("cpu"))


if __name__ == "__main__":
    typer.run(main)
