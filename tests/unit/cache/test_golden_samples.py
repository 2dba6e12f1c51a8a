"""Pixels and masks of real photographs, against numbers made by the official code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from cmirnet_cli.cache.check_images import check_images
from cmirnet_cli.cache.estimate import estimate
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.refer.referent import ReferDataset


@pytest.mark.parametrize("store", ["decoded", "encoded"])
@pytest.mark.parametrize("name", ["mini_refcocog", "coco128"])
def test_samples_equal_the_official_loaders_bit_for_bit(
    photographs: dict[str, ReferDataset], shared_fixtures: Path, tmp_path: Path, name: str, store: str
):
    golden = {sample["ref_id"]: sample for sample in json.loads((shared_fixtures / "samples.json").read_text())[name]}
    write_cache(photographs[name], tmp_path / "cache", CacheOptions(store=store), workers=2)
    cache = Cache.open(tmp_path / "cache")
    seen = 0
    for split in cache.splits:
        for row in cache.referent_rows(split):
            if expected := golden.get(cache.referent(row).ref_id):
                sample = cache.sample(row, 0, 480)
                assert hashlib.sha256(sample.image.tobytes()).hexdigest() == expected["image_sha256"]
                assert hashlib.sha256(sample.mask.tobytes()).hexdigest() == expected["mask_sha256"]
                assert int(sample.mask.sum()) == expected["mask_pixels"]
                assert [sentence.text for sentence in cache.referent(row).sentences] == expected["raw"]
                seen += 1
    assert seen == len(golden)


@pytest.mark.parametrize("store", ["decoded", "encoded"])
def test_the_estimate_is_within_three_per_cent_on_photographs(photographs: dict[str, ReferDataset], tmp_path: Path, store: str):
    options = CacheOptions(store=store)
    write_cache(photographs["coco128"], tmp_path / "cache", options, workers=2)
    taken = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir())
    assert estimate(photographs["coco128"], options) == pytest.approx(taken, rel=0.03)


def test_no_real_photograph_is_called_bad(photographs: dict[str, ReferDataset]):
    assert [check_images(dataset, workers=2).bad for dataset in photographs.values()] == [(), ()]
