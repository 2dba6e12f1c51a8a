"""`cmirnet.prepare`: from a data set's name to a cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmirnet_cli.cache.prepare import PrepareRequest, prepare
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.errors import ImageError
from cmirnet_cli.scenes import write_scenes


def test_what_cannot_be_read_stops_it_or_is_left_out_and_named(tmp_path: Path):
    write_scenes(tmp_path / "data", images={"train": 2, "val": 2}, size=64)
    broken = sorted((tmp_path / "data" / "scenes" / "images" / "val").iterdir())[0]
    broken.write_bytes(b"no picture")
    request = {"data": tmp_path / "data", "out": tmp_path / "cache", "options": CacheOptions(sizes=(32,))}
    with pytest.raises(ImageError, match=broken.name):
        prepare(PrepareRequest("scenes", "demo", **request))
    assert not (tmp_path / "cache").exists()

    notices: list[str] = []
    warnings: list[str] = []
    cache = prepare(PrepareRequest("scenes", "demo", **request, skip_bad=True), notice=notices.append, warn=warnings.append)
    assert cache.folder == tmp_path / "cache" / "scenes-demo"
    assert [image.path for image in cache.skipped] == [broken]
    assert [str(broken) in line for line in warnings] == [True]
    assert any("will take about" in line for line in notices)
    assert {split: counts.images for split, counts in cache.manifest.counts.items()} == {"train": 2, "val": 1}
    assert Cache.open(cache.folder).manifest == cache.manifest
