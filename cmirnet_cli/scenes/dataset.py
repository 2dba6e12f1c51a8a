"""A data set of drawn scenes on disk, in REFER layout: it looks like `refcoco/`, with drawings in place of photographs."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.errors import DataError
from cmirnet_cli.files import new_folder
from cmirnet_cli.refer.layout import INSTANCES, refs_names
from cmirnet_cli.scenes.expressions import refer, refer_exactly
from cmirnet_cli.scenes.scene import PAPER_GRAIN, PHOTOGRAPH_GRAIN, SHAPES, Frame, Scene, Thing, compose, paint

MOST = 3
"""Referents that an image, and sentences that a referent, can have: a scene may hold three things."""


@dataclass(frozen=True)
class Amount:
    """Images, referents and sentences of a split. Each image gets about as many referents as any other, each referent sentences.

    Raises:
        DataError: an image would have no referent or more than `MOST`, or a referent so many sentences.
    """

    images: int
    refs: int
    sentences: int

    def __post_init__(self) -> None:
        if not (0 < self.images <= self.refs <= MOST * self.images and self.refs <= self.sentences <= MOST * self.refs):
            hint = f"an image can have 1 to {MOST} referents, a referent 1 to {MOST} sentences"
            raise DataError(f"{self.images} images cannot be drawn with {self.refs} referents and {self.sentences} sentences", hint=hint)

    def sentences_of_images(self) -> Iterator[tuple[int, ...]]:
        """For each image, how many sentences each of its referents has."""
        counts = _spread(self.sentences, self.refs)
        return (tuple(islice(counts, referents)) for referents in _spread(self.refs, self.images))


def _spread(total: int, parts: int) -> Iterator[int]:
    """`total` as a sum of `parts` numbers that differ by one at most, evenly mixed: 5 in 3 is 1, 2, 2."""
    return ((part + 1) * total // parts - part * total // parts for part in range(parts))


def described_scene(rng: Random, sentences: Sequence[int] | None) -> tuple[Scene, dict[Thing, tuple[str, ...]]]:
    """A scene with referents, each with as many sentences as `sentences` says, or with 2 or 3 where it is None."""
    while True:
        scene = compose(rng)
        referents = refer(scene.things, rng) if sentences is None else refer_exactly(scene.things, sentences, rng)
        if referents:
            return scene, referents


def drawn_pairs(count: int, size: int) -> list[tuple[NDArray[np.uint8], str]]:
    """So many scenes, uint8 (size, size, 3), each with a sentence about one of its things; always the same ones."""
    described = [described_scene(Random(f"question/{number}"), None) for number in range(count)]
    frame = Frame(size, size)
    return [(np.asarray(paint(scene, frame, PHOTOGRAPH_GRAIN)), next(iter(texts.values()))[0]) for scene, texts in described]


def drawn_scene(rng: Random, size: int) -> tuple[NDArray[np.uint8], list[str]]:
    """A scene, uint8 (size, size, 3), and a sentence about each of its referents."""
    scene, texts = described_scene(rng, None)
    return np.asarray(paint(scene, Frame(size, size), PHOTOGRAPH_GRAIN)), [each[0] for each in texts.values()]


_CATEGORIES = {shape: number for number, shape in enumerate(SHAPES, start=1)}
_JPEG = {"quality": 93, "subsampling": 0}

Record = dict[str, Any]


def write_scenes(
    root: Path,
    *,
    dataset: str = "scenes",
    split_by: str = "demo",
    images: Mapping[str, int | Amount],
    size: int | tuple[int, int] = 128,
    grain: float = PAPER_GRAIN,
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> None:
    """Draw scenes and write them, with expressions about them, as `<root>/<dataset>/`, which appears whole or not at all.

    Every image holds 3 or 4 shapes; 2 or 3 of them are referents with 2 or 3 sentences each, and each sentence fits no other
    shape of its image. The same arguments give the same bytes; a scene depends on the seed, its split and its number only.

    Args:
        root: the folder that holds data sets; it is made where it is missing.
        dataset: the data set's name, a folder in `root`.
        split_by: the name between the brackets of `refs(…).p`.
        images: how many images each split gets, by the split's name; an `Amount` also fixes its referents and sentences.
        size: width and height of the images in pixels; one number for both.
        grain: how rough the paper is; `PHOTOGRAPH_GRAIN` makes files as heavy as photographs.
        seed: another seed draws other scenes.
        advance: called after each image.

    Raises:
        DataError: the folder exists already, or it cannot be written.
    """
    target = root / dataset
    if target.exists():
        raise DataError(f"{target} exists already", hint="delete it, or choose another folder")
    tables = _Tables(Frame(*size) if isinstance(size, tuple) else Frame(size, size), grain)
    with new_folder(target, DataError) as folder:
        _write_images(folder / "images", tables, images, seed, advance)
        (folder / refs_names(split_by)[0]).write_bytes(pickle.dumps(tables.refs, protocol=2))
        (folder / INSTANCES).write_text(json.dumps(tables.instances()), encoding="utf-8")


def _write_images(folder: Path, tables: _Tables, images: Mapping[str, int | Amount], seed: int, advance: Callable[[], object]) -> None:
    for split, amount in images.items():
        (folder / split).mkdir(parents=True)
        counts = amount.sentences_of_images() if isinstance(amount, Amount) else repeat(None, amount)
        for number, sentences in enumerate(counts):
            scene, referents = described_scene(Random(f"{seed}/{split}/{number}"), sentences)
            file_name = tables.add(split, scene, referents)
            paint(scene, tables.frame, tables.grain).save(folder / file_name, "JPEG", **_JPEG)
            advance()


@dataclass
class _Tables:
    """The rows of `instances.json` and of the refs file, numbered as they come."""

    frame: Frame
    grain: float
    images: list[Record] = field(default_factory=list)
    annotations: list[Record] = field(default_factory=list)
    refs: list[Record] = field(default_factory=list)
    sentences: int = 0

    def add(self, split: str, scene: Scene, referents: Mapping[Thing, tuple[str, ...]]) -> str:
        """Enters one scene and returns the name of its image's file below `images/`."""
        image_id = len(self.images) + 1
        file_name = f"{split}/scene_{image_id:06d}.jpg"
        self.images.append({"id": image_id, "file_name": file_name, "height": self.frame.height, "width": self.frame.width})
        for thing in scene.things:
            annotation = self._annotation(thing, image_id)
            self.annotations.append(annotation)
            if thing in referents:
                self.refs.append(self._ref(annotation, split, referents[thing]))
        return file_name

    def _annotation(self, thing: Thing, image_id: int) -> Record:
        corners = [(round(x, 2), round(y, 2)) for x, y in (self.frame.place(*corner) for corner in thing.outline())]
        xs, ys = zip(*corners, strict=True)
        return {
            "id": len(self.annotations) + 1,
            "image_id": image_id,
            "category_id": _CATEGORIES[thing.shape],
            "segmentation": [[coordinate for corner in corners for coordinate in corner]],
            "area": round(_area(corners), 2),
            "bbox": [min(xs), min(ys), round(max(xs) - min(xs), 2), round(max(ys) - min(ys), 2)],
            "iscrowd": 0,
            "color": thing.color,
            "size": thing.size,
        }

    def _ref(self, annotation: Record, split: str, texts: Sequence[str]) -> Record:
        sent_ids = list(range(self.sentences, self.sentences + len(texts)))
        self.sentences += len(texts)
        return {
            "ref_id": len(self.refs),
            "ann_id": annotation["id"],
            "image_id": annotation["image_id"],
            "category_id": annotation["category_id"],
            # Genuine files name the image's file with the annotation's id behind it: no such file exists.
            "file_name": f"{split}/scene_{annotation['image_id']:06d}_{annotation['id']}.jpg",
            "split": split,
            "sent_ids": sent_ids,
            "sentences": [
                {"tokens": text.split(), "raw": text, "sent": text, "sent_id": sent_id}
                for sent_id, text in zip(sent_ids, texts, strict=True)
            ],
        }

    def instances(self) -> Record:
        """The whole of `instances.json`."""
        return {
            "info": {"description": "Scenes of drawn shapes for referring image segmentation", "version": "1"},
            "licenses": [],
            "images": self.images,
            "annotations": self.annotations,
            "categories": [{"id": number, "name": name, "supercategory": "shape"} for name, number in _CATEGORIES.items()],
        }


def _area(corners: Sequence[tuple[float, float]]) -> float:
    """The area of a polygon (shoelace formula)."""
    following = [*corners[1:], corners[0]]
    return abs(sum(x * down - across * y for (x, y), (across, down) in zip(corners, following, strict=True))) / 2
