"""Size and distractors of referents, against annotations made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.engine.evaluation.loop import referent_stats
from cmirnet_cli.metrics.sentences import ReferentStats
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence

Box = tuple[int, int, int, int]


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Cache]:
    """Prepares referents given as (split, image, category, box or None); they are numbered through."""

    def prepare(*given: tuple[str, int, str, Box | None]) -> Cache:
        images = {number: ImageRecord(number, tmp_path / f"{number}.png", 40, 60) for _, number, _, _ in given}
        for image in images.values():
            Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(image.path)
        referents = [
            Referent(ref_id, split, images[number], category, ([outline(box)],) if box else (), (Sentence(ref_id, "it"),))
            for ref_id, (split, number, category, box) in enumerate(given)
        ]
        (tmp_path / "refs.p").write_bytes(b"made by the tests")
        write_cache(ReferDataset("drawn", "made", tuple(referents), (tmp_path / "refs.p",)), tmp_path / "cache", CacheOptions(sizes=(32,)))
        return Cache.open(tmp_path / "cache")

    return prepare


def outline(box: Box) -> list[int]:
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


CUP, MUG, DOG = (0, 0, 10, 5), (20, 0, 30, 10), (30, 20, 50, 40)


def test_areas_are_pixels_of_the_image_itself(prepared):
    cache = prepared(("val", 1, "cup", CUP), ("val", 2, "dog", DOG), ("val", 2, "", None))
    assert [stats.area for stats in referent_stats(cache, "val").values()] == [50, 400, 0]


def test_no_target_is_what_the_annotation_says_and_no_empty_mask(prepared):
    lost = (70, 5, 80, 9)  # beside the image, which is 60 pixels wide
    cache = prepared(("val", 1, "cup", CUP), ("val", 1, "cup", lost), ("val", 1, "", None))
    stats = referent_stats(cache, "val").values()
    assert [(each.area, each.no_target) for each in stats] == [(50, False), (0, False), (0, True)]


def test_distractors_are_other_objects_of_the_category_in_the_same_image(prepared):
    cache = prepared(("val", 1, "cup", CUP), ("val", 1, "cup", MUG), ("val", 1, "dog", DOG), ("val", 2, "cup", CUP))
    assert [stats.distractors for stats in referent_stats(cache, "val").values()] == [1, 1, 0, 0]


def test_two_referents_with_one_mask_are_one_object(prepared):
    cache = prepared(("val", 1, "cup", CUP), ("val", 1, "cup", CUP), ("val", 1, "cup", MUG))
    assert [stats.distractors for stats in referent_stats(cache, "val").values()] == [1, 1, 1]


def test_objects_of_other_splits_are_counted_and_not_described(prepared):
    cache = prepared(("train", 1, "cup", CUP), ("val", 1, "cup", MUG), ("train", 2, "cup", MUG))
    assert referent_stats(cache, "val") == {1: ReferentStats(area=100, category="cup", distractors=1)}
