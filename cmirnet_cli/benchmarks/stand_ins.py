"""What benchmarks run on without weights and data: random weights of the published sizes, drawn scenes as a prepared data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.config import SCRATCH, DataConfig, Settings, resolve
from cmirnet_cli.engine.devices import seed_everything
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.refer.layout import Places
from cmirnet_cli.refer.sources import read_source
from cmirnet_cli.scenes import Amount, write_scenes
from cmirnet_cli.weights.bundle import Bundle
from cmirnet_cli.weights.encoder import scratch_encoder
from cmirnet_cli.weights.folder import BundleConfig

BERT_BASE = {"text.source": SCRATCH, "text.scratch_layers": 12, "text.scratch_heads": 12, "model.text_width": 768}
"""A text encoder of BERT base's size, from scratch."""

DATASET, SPLIT_BY = "scenes", "demo"


def random_bundle(backbone: str, size: int | None, sentences: Sequence[str], **settings: object) -> Bundle:
    """A model with random weights in eval mode, of the published widths unless `settings` change them: as slow as a trained one.

    Args:
        backbone: the backbone.
        size: of its images in pixels; the published one by default.
        sentences: whose words its tokenizer knows.
        settings: others, by their dotted names.

    Raises:
        ConfigError: there is no such backbone, or it cannot take the size.
    """
    recipe = resolve(flags={"model.backbone": backbone, "data.image_size": size, **BERT_BASE, **settings})
    seed_everything(recipe.loop.seed)
    tokenizer = word_tokenizer(sentences)
    text = TextEncoder(scratch_encoder(recipe.text, recipe.model.text_width, tokenizer))
    encoder = text.encoder.config.to_dict()
    config = BundleConfig(model=recipe.model, encoder=encoder, tokens=recipe.text.tokens, image_size=recipe.data.image_size)
    return Bundle(ReferringModel(build_network(recipe.model, recipe.data.image_size), text).eval(), tokenizer, config)


def random_recipe(backbone: str | None, size: int | None, batch_size: int, **settings: object) -> Settings:
    """The published recipe on random weights, at one size, without a crop and without workers."""
    side = size or DataConfig().image_size
    flags = {"model.backbone": backbone, "data.image_size": side, "data.resize": side, "data.workers": 0, "loop.batch_size": batch_size}
    return resolve(flags={**flags, **BERT_BASE, "loop.backbone_weights": "none", **settings})


def drawn_cache(folder: Path, size: int, amounts: Mapping[str, Amount]) -> Cache:
    """Scenes of these amounts by split, prepared at one size in `folder`."""
    write_scenes(folder, dataset=DATASET, split_by=SPLIT_BY, images=amounts)
    write_cache(read_source(DATASET, SPLIT_BY, Places(folder)), folder / "cache", CacheOptions(sizes=(size,)))
    return Cache.open(folder / "cache")
