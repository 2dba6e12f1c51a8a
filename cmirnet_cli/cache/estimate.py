"""How large a cache will be, before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence

from cmirnet_cli.cache.schema import SHARD_IMAGES, CacheOptions
from cmirnet_cli.cache.stores import store_of
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset

# What HDF5's own tables, and masks of photographs, were found to take; a mask grows with the length of its outline.
IMAGE_BYTES = 150
_FILE_BYTES = 20_000
_REFERENT_BYTES = 80
_SENTENCE_BYTES = 60
_ORIGINAL_MASK_BYTES = 0.8  # for each pixel of height and width
_NETWORK_MASK_BYTES = 2.6  # for each pixel of the side


def estimate(dataset: ReferDataset, options: CacheOptions) -> int:
    """Bytes the cache will take, to within a few per cent; nothing is decoded.

    Raises:
        ImageError: an image file is missing (`encoded` store).
    """
    images, referents, store = dataset.images, dataset.referents, store_of(options)
    pixels = sum(store.estimate(image) + IMAGE_BYTES for image in images)
    original = _ORIGINAL_MASK_BYTES * sum(referent.image.height + referent.image.width for referent in referents)
    masks = round(original + _NETWORK_MASK_BYTES * len(referents) * sum(options.sizes))
    texts = len(referents) * _REFERENT_BYTES + sum(len(referent.sentences) for referent in referents) * _SENTENCE_BYTES
    return pixels + masks + texts + (1 + len(shards_of(images))) * _FILE_BYTES


def shards_of(images: Sequence[ImageRecord]) -> list[Sequence[ImageRecord]]:
    """The images of each file of pixels."""
    return [images[start : start + SHARD_IMAGES] for start in range(0, len(images), SHARD_IMAGES)]
