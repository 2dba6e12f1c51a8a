"""Small data sets drawn on disk, and real ones read by hand, independently of the package's own reader."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence

Draw = Callable[..., ReferDataset]


def _picture(path: Path, height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _referent(number: int, image: ImageRecord, split: str) -> Referent:
    x, y, w, h = number % 5 + 1, number % 3 + 1, image.width // 2, image.height // 2
    box = [x, y, x + w, y, x + w, y + h, x, y + h]
    said = tuple(Sentence(10 * number + k, f"object {number}, said for the {k}. time — 红色\0") for k in range(1 + number % 3))
    return Referent(1000 + number, split, image, f"kind {number % 4}", ([box],), said)


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draws a data set of noise images with one referent each; every fourth belongs to val, the rest to train."""

    def drawn(images: int = 8, height: int = 30, width: int = 40, suffix: str = ".png") -> ReferDataset:
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        records = [ImageRecord(n + 7, folder / f"{n:05d}{suffix}", height + n % 3, width + n % 5) for n in range(images)]
        for n, record in enumerate(records):
            _picture(record.path, record.height, record.width, n)
        annotations = tmp_path / "refs(made).p"
        annotations.write_bytes(b"made by the test")
        referents = tuple(_referent(n, record, "val" if n % 4 == 3 else "train") for n, record in enumerate(records))
        return ReferDataset("drawn", "made", referents, (annotations,))

    return drawn


def _refer_layout(folder: Path, images: Path, name: str, split_by: str) -> ReferDataset:
    files = (folder / f"refs({split_by}).p", folder / "instances.json")
    instances = json.loads(files[1].read_text())
    records = {i["id"]: ImageRecord(i["id"], images / i["file_name"], i["height"], i["width"]) for i in instances["images"]}
    objects = {a["id"]: a["segmentation"] for a in instances["annotations"]}
    names = {c["id"]: c["name"] for c in instances["categories"]}
    referents = tuple(
        Referent(
            ref["ref_id"],
            ref["split"],
            records[ref["image_id"]],
            names[ref["category_id"]],
            (objects[ref["ann_id"]],),
            tuple(Sentence(s["sent_id"], s["raw"]) for s in ref["sentences"]),
        )
        for ref in pickle.loads(files[0].read_bytes())  # our own test data, written beside the photographs
    )
    return ReferDataset(name, split_by, referents, files)


@pytest.fixture(scope="session")
def photographs(shared_data: Path) -> dict[str, ReferDataset]:
    """The two sets of real photographs for which golden numbers exist."""
    coco, mini = shared_data / "coco128_refer", shared_data / "mini_refcocog_google_val"
    return {
        "coco128": _refer_layout(coco / "refcoco128", coco / "images/train2017", "refcoco128", "template"),
        "mini_refcocog": _refer_layout(mini / "refcocog", mini / "images/mscoco/images/train2014", "refcocog", "google"),
    }


@pytest.fixture
def content() -> Callable[[Path], dict[str, bytes]]:
    """Reads every file of a cache folder."""

    def read(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    return read
