"""What the benchmarks that need a prepared data set share: drawn scenes, and a text encoder of BERT base's size from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.config import Settings
    from cmirnet_cli.refer.scenes import Amount

DATASET, SPLIT_BY = "scenes", "demo"
BERT_BASE = {"text.scratch_layers": 12, "text.scratch_heads": 12, "model.text_width": 768}


def recipe(backbone: str | None, size: int | None, batch_size: int, **more: object) -> Settings:
    """The published recipe on random weights, at one size, without a crop and without workers."""
    from cmirnet_cli.config import SCRATCH, DataConfig, resolve

    side = size or DataConfig().image_size
    given = {"model.backbone": backbone, "data.image_size": side, "data.resize": side, "data.workers": 0, "loop.batch_size": batch_size}
    start = {"text.source": SCRATCH, "loop.backbone_weights": "none"}
    return resolve(flags={**given, **BERT_BASE, **start, **more})


def drawn_cache(folder: Path, size: int, amounts: Mapping[str, Amount]) -> Cache:
    """Scenes of these amounts by split, prepared at one size in `folder`."""
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.cache.schema import CacheOptions
    from cmirnet_cli.cache.writer import write_cache
    from cmirnet_cli.refer.layout import Places
    from cmirnet_cli.refer.scenes import write_scenes
    from cmirnet_cli.refer.sources import read_source

    write_scenes(folder, dataset=DATASET, split_by=SPLIT_BY, images=amounts)
    write_cache(read_source(DATASET, SPLIT_BY, Places(folder)), folder / "cache", CacheOptions(sizes=(size,)))
    return Cache.open(folder / "cache")
