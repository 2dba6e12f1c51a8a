"""Drawn scenes as a prepared data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.refer.layout import Places
from cmirnet_cli.refer.sources import read_source
from cmirnet_cli.scenes import Amount, write_scenes

DATASET, SPLIT_BY = "scenes", "demo"


def drawn_cache(folder: Path, size: int, amounts: Mapping[str, Amount]) -> Cache:
    """Scenes of these amounts by split, prepared at one size in `folder`."""
    write_scenes(folder, dataset=DATASET, split_by=SPLIT_BY, images=amounts)
    write_cache(read_source(DATASET, SPLIT_BY, Places(folder)), folder / "cache", CacheOptions(sizes=(size,)))
    return Cache.open(folder / "cache")
