"""Photographs that EXIF turns: one's own are kept as people see them, REFER's as they are stored, in both stores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.cache.check_images import BadImage, CheckedImages, check_images
from cmirnet_cli.cache.fingerprint import fingerprint_of
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.refer.jsonl import read_jsonl
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence
from tests.fixtures.exif import STORED

HEIGHT, WIDTH = 48, 32
BOX = (4, 6, 14, 26)


def save(path: Path, orientation: int) -> np.ndarray:
    """A black photograph with a green box, stored lying; uint8 (H, W, 3) as it is stored, after JPEG."""
    left, top, right, bottom = BOX
    seen = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    seen[top:bottom, left:right] = (0, 255, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(STORED[orientation](seen))).save(path, quality=95, subsampling=0, exif=exif)
    return np.asarray(Image.open(path))


def own(folder: Path) -> ReferDataset:
    left, top, right, bottom = BOX
    line = {"image": "photo.jpg", "expression": "the green box", "split": "val"}
    line["polygons"] = [[left, top, right, top, right, bottom, left, bottom]]
    (folder / "own.jsonl").write_text(json.dumps(line))
    return read_jsonl(folder / "own.jsonl")


def cached(dataset: ReferDataset, folder: Path, store: str) -> Cache:
    assert check_images(dataset) == CheckedImages((), {})
    write_cache(dataset, folder, CacheOptions(store=store, sizes=(32,)))
    return Cache.open(folder)


@pytest.mark.parametrize("store", ["decoded", "encoded"])
@pytest.mark.parametrize("orientation", STORED)
def test_ones_own_photograph_is_upright_under_its_mask(tmp_path: Path, store: str, orientation: int):
    stored = save(tmp_path / "photo.jpg", orientation)
    cache = cached(own(tmp_path), tmp_path / "cache", store)
    sample = cache.sample(0, 0, 32)
    back = {6: 8, 8: 6}.get(orientation, orientation)
    seen = Image.fromarray(np.ascontiguousarray(STORED[back](stored)))
    assert seen.size == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(sample.image, np.asarray(seen.resize((32, 32), Image.Resampling.BILINEAR)))
    green = sample.image[..., 1] > 127
    assert (green & (sample.mask > 0)).sum() / (green | (sample.mask > 0)).sum() > 0.9
    assert cache.original_size(0) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("store", ["decoded", "encoded"])
def test_refers_photograph_stays_as_it_is_stored(tmp_path: Path, store: str):
    stored = save(tmp_path / "photo.jpg", 6)
    height, width = stored.shape[:2]
    image = ImageRecord(1, tmp_path / "photo.jpg", height, width)
    referent = Referent(0, "val", image, "", (), (Sentence(0, "the green box"),))
    cache = cached(ReferDataset("refcoco", "unc", (referent,), ()), tmp_path / "cache", store)
    np.testing.assert_array_equal(cache.image(0, 32), np.asarray(Image.fromarray(stored).resize((32, 32), Image.Resampling.BILINEAR)))


def test_the_encoded_store_keeps_the_files_bytes(tmp_path: Path):
    save(tmp_path / "photo.jpg", 6)
    cached(own(tmp_path), tmp_path / "cache", "encoded")
    assert (tmp_path / "photo.jpg").read_bytes() in (tmp_path / "cache" / "images-00000.h5").read_bytes()


def test_the_way_up_is_part_of_the_fingerprint(tmp_path: Path):
    Image.new("RGB", (30, 30)).save(tmp_path / "square.jpg")
    keys = set()
    for upright in (False, True):
        image = ImageRecord(1, tmp_path / "square.jpg", 30, 30, upright=upright)
        referent = Referent(0, "val", image, "", (), (Sentence(0, "x"),))
        keys.add(fingerprint_of(ReferDataset("own", "x", (referent,), ()), CacheOptions()).key)
    assert len(keys) == 2


def test_an_upright_size_that_only_the_stored_picture_has_is_bad(tmp_path: Path):
    save(tmp_path / "photo.jpg", 6)
    image = ImageRecord("photo.jpg", tmp_path / "photo.jpg", WIDTH, HEIGHT, upright=True)
    dataset = ReferDataset("own", "jsonl", (Referent(0, "val", image, "", (), (Sentence(0, "x"),)),), ())
    assert check_images(dataset).bad == (
        BadImage(image.path, "is 32×48, but its annotations were drawn on 48×32; its EXIF orientation, 6, turns it", turned=False),
    )
