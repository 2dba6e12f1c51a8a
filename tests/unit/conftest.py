"""A small prepared cache for the rooms that read one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence

IMAGES, TRAIN_IMAGES = 5, 3


@pytest.fixture(scope="session")
def deep_png() -> Callable[[np.ndarray], bytes]:
    """Makes a PNG of 16 bits by hand, as PIL writes only some: greys (H, W), greys with alpha, colours, colours with alpha (H, W, C)."""

    def made(values: np.ndarray) -> bytes:
        colour = {1: 0, 2: 4, 3: 2, 4: 6}[1 if values.ndim == 2 else values.shape[2]]
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
        header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)

    return made


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Five images of noise, the last two for val; two referents in each, with one to three sentences; prepared at 64 and 72 px."""
    folder = tmp_path_factory.mktemp("small")
    referents = tuple(referent for number in range(IMAGES) for referent in _referents(_image(folder, number), number))
    annotations = folder / "refs(made).p"
    annotations.write_bytes(b"made by the tests")
    dataset = ReferDataset("drawn", "made", referents, (annotations,))
    write_cache(dataset, folder / "cache", CacheOptions(sizes=(64, 72)))
    return Cache.open(folder / "cache")


def _image(folder: Path, number: int) -> ImageRecord:
    record = ImageRecord(100 + number, folder / f"{number}.png", 90 + number, 120 - number)
    pixels = np.random.default_rng(number).integers(0, 256, (record.height, record.width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(record.path)
    return record


def _referents(image: ImageRecord, number: int) -> list[Referent]:
    split = "train" if number < TRAIN_IMAGES else "val"
    boxes = {"left": [5, 9, 60, 9, 60, 80, 5, 80], "right": [40, 20, 110, 20, 110, 55, 40, 55]}
    made = []
    for side, box in boxes.items():
        ref_id = 2 * number + len(made)
        said = tuple(Sentence(10 * ref_id + k, f"thing {ref_id} on the {side}, {k}") for k in range(1 + ref_id % 3))
        made.append(Referent(ref_id, split, image, "thing", ([box],), said))
    return made
