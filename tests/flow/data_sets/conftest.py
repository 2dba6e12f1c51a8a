"""Small data sets true to the facts of the genuine ones: their files, names, ids, outlines and labels. The photographs are noise."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from cmirnet_cli.app import run
from cmirnet_cli.cache.reader import Cache

Pixels = Any
HEIGHT, WIDTH = 40, 60


def noise(image_id: int | str) -> Pixels:
    """The photograph of this id: the same in whichever data set it lies."""
    return np.random.default_rng(int(image_id)).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def rectangle(left: int, top: int, right: int, bottom: int) -> Pixels:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def polygon(left: int, top: int, right: int, bottom: int) -> list[int]:
    """COCO's outline of the same rectangle."""
    return [left, top, right, top, right, bottom, left, bottom]


@dataclass
class Folder:
    """One data set in REFER layout, filled record by record, and what is true of it.

    Attributes:
        home: the folder of the annotation files.
        photographs: the folder that image files lie in.
        truth: sentence id → mask.
    """

    home: Path
    photographs: Path
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    refs: list[dict[str, Any]] = field(default_factory=list)
    truth: dict[int, Pixels] = field(default_factory=dict)

    def photograph(self, image_id: int, file_name: str, *, on_disk: str | None = None) -> None:
        """Enter an image and write its file, under another name where one is given; "" writes none."""
        self.images.append({"id": image_id, "file_name": file_name, "height": HEIGHT, "width": WIDTH})
        if on_disk != "":
            path = self.photographs / (on_disk or file_name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(image_id)).save(path, quality=95)

    def object(self, ann_id: int | str, image_id: int, segmentation: Any) -> None:
        self.annotations.append({"id": ann_id, "image_id": image_id, "category_id": 1, "iscrowd": 0, "segmentation": segmentation})

    def ref(self, split: str, image_id: int, ann_id: Any, mask: Pixels, sentences: int = 2, **fields: Any) -> None:
        """Enter a referent; the sentences are numbered through, as in the genuine files."""
        sent_ids = list(range(len(self.truth), len(self.truth) + sentences))
        said = [f"Thing {sent_id} on the LEFT" for sent_id in sent_ids]
        self.truth |= dict.fromkeys(sent_ids, mask)
        ref = {
            "ref_id": len(self.refs),
            "image_id": image_id,
            "ann_id": ann_id,
            "category_id": 1,
            "split": split,
            "file_name": f"COCO_train2014_{image_id:012}_{len(self.refs)}.jpg",
            "sent_ids": sent_ids,
            "sentences": [
                {"sent_id": sent_id, "raw": text, "sent": text.lower(), "tokens": text.lower().split()}
                for sent_id, text in zip(sent_ids, said, strict=True)
            ],
        }
        self.refs.append(ref | fields)

    def write(self, refs_name: str) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        tables = {"images": self.images, "annotations": self.annotations, "categories": [{"id": 1, "name": "thing"}]}
        (self.home / "instances.json").write_text(json.dumps(tables))
        as_bytes = pickle.dumps(self.refs, protocol=2) if refs_name.endswith(".p") else json.dumps(self.refs).encode()
        (self.home / refs_name).write_bytes(as_bytes)


class Builder:
    """Writes data sets below one folder, as one has them."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def run_lengths(self, mask: Pixels) -> dict[str, Any]:
        """COCO's compressed RLE, as JSON holds it."""
        rle = coco.encode(np.asfortranarray(mask))
        return {"size": rle["size"], "counts": rle["counts"].decode("ascii")}

    def coco(self, dataset: str, split_by: str, splits: dict[str, list[int]]) -> Folder:
        """A data set on COCO's photographs: split → image ids; one referent of one polygon in each image."""
        folder = Folder(self.data / dataset, self.data / "images/mscoco/images/train2014")
        for image_id in dict.fromkeys(image_id for ids in splits.values() for image_id in ids):
            folder.photograph(image_id, f"COCO_train2014_{image_id:012}.jpg")
        for split, ids in splits.items():
            for image_id in ids:
                box = (2, 3, 10 + image_id % 40, 30)
                folder.object(100 + len(folder.refs), image_id, [polygon(*box)])
                folder.ref(split, image_id, 100 + len(folder.refs), rectangle(*box))
        folder.write(f"refs({split_by}).p")
        return folder

    def refclef(self, split_by: str, labels: tuple[str, ...], *, nested: bool = False, on_disk: str = "{}") -> Folder:
        """ReferItGame: ids of text, lists of compressed RLE, flat (`1012.jpg`) or nested (`25/images/1012.jpg`) file names."""
        folder = Folder(self.data / "refclef", self.data / "images/saiapr_tc-12")
        for image_id, label in enumerate(labels, start=1012):
            name = f"{image_id}.jpg"
            folder.photograph(image_id, f"25/images/{name}" if nested else name, on_disk=on_disk.format(name))
            mask = rectangle(5, 5, 5 + image_id % 50, 20)
            folder.object(f"{image_id}_1", image_id, [self.run_lengths(mask)])
            folder.ref(label, image_id, f"{image_id}_1", mask)
        folder.write(f"refs({split_by}).p")
        return folder

    def grefcoco(self) -> Folder:
        """gRefCOCO: JSON, lists of annotations, sentences that refer to nothing; in train, two objects share a strip of 5×20 pixels."""
        folder = Folder(self.data / "grefcoco", self.data / "images/train2014")
        for image_id, split in enumerate(("train", "val", "testA", "testB"), start=1):
            folder.photograph(image_id, f"COCO_train2014_{image_id:012}.jpg")
            first, second = (5, 5, 25, 25), (20, 5, 40, 25)
            folder.object(10 * image_id, image_id, [polygon(*first)])
            folder.object(10 * image_id + 1, image_id, [polygon(*second)])
            both, one, none = rectangle(5, 5, 40, 25), rectangle(*first), rectangle(0, 0, 0, 0)
            folder.ref(split, image_id, [10 * image_id, 10 * image_id + 1], both, 1, category_id=[1, 1], no_target=False)
            folder.ref(split, image_id, [10 * image_id], one, 2, category_id=[1], no_target=False)
            folder.ref(split, image_id, [-1], none, 1, category_id=[-1], no_target=True)
        folder.write("grefs(unc).json")
        return folder

    def rrsisd(self, home: str, photographs: str) -> Folder:
        """RRSIS-D: one id for referent, image, annotation and sentence, one sentence each, a list of one compressed RLE."""
        folder = Folder(self.data / home, self.data / photographs)
        for number, split in enumerate(("train", "val", "test")):
            folder.photograph(number, f"{number:05}.jpg")
            mask = rectangle(10, 10, 20 + number, 30)
            folder.annotations.append(
                {"id": number, "image_id": number, "categories_id": 1, "segmentation": [self.run_lengths(mask)], "area": 1}
            )
            folder.ref(split, number, number, mask, 1, file_name=f"{number:05}.jpg")
        folder.write("refs(unc).p")
        return folder


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "data")


@pytest.fixture(scope="session")
def grefcoco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `data` holds drawn gRefCOCO, and `cache` what prepare-data made of it."""
    home = tmp_path_factory.mktemp("grefcoco")
    Builder(home / "data").grefcoco()
    assert run(["prepare-data", "grefcoco", "--data", str(home / "data"), "--out", str(home / "cache"), "--size", "64", "--json"]) == 0
    return home


@pytest.fixture
def prepared(cmirnet: Callable[..., Any], build: Builder) -> Callable[..., tuple[Cache, Any]]:
    """Runs prepare-data, which must succeed; gives the cache it wrote, and what it said."""

    def prepare(*words: object) -> tuple[Cache, Any]:
        outcome = cmirnet("prepare-data", *words, "--data", build.data, "--out", build.data.parent / "cache", "--size", 64, "--json")
        assert outcome.code == 0, outcome.out
        return Cache.open(outcome.data["cache"]), outcome

    return prepare
