"""Reads text features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.cache.features import DTYPES, WORDS, FeaturesManifest, require_fitting
from cmirnet_cli.cache.folder import verify_it
from cmirnet_cli.cache.hdf5 import OpenFiles
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.errors import CacheError


class TextFeatures:
    """What a text encoder made of each sentence of a cache. May be pickled, as a `Cache` may.

    Raises:
        CacheError: the features are of other data, or words.h5 is missing or cut short.
    """

    def __init__(self, cache: Cache, manifest: FeaturesManifest) -> None:
        self.cache, self.manifest = cache, manifest
        key = cache.manifest.fingerprint.key
        require_fitting(cache.folder, key, manifest)
        self._files = OpenFiles(cache.folder, key)
        self._rows = {text: row for row, text in enumerate(cache.sentences())}

    def __reduce__(self) -> tuple[Any, ...]:
        return TextFeatures, (self.cache, self.manifest)

    def words(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (B, T, D): the encoder's last hidden state for each sentence, padding included.

        Raises:
            CacheError: a text is no sentence of the cache, or the file is damaged.
        """
        stored = np.empty((len(texts), *self.manifest.shape[1:]), DTYPES[self.manifest.facts.dtype])
        try:
            for place, text in zip(stored, texts, strict=True):
                self._read(self._row(text), place)
        except (OSError, RuntimeError, ValueError) as error:
            message = f"{self.cache.folder / self.manifest.file.name} is damaged: {error}"
            raise CacheError(message, hint=verify_it(self.cache.folder)) from error
        return stored.astype(np.float32, copy=False)

    def _row(self, text: str) -> int:
        if text not in self._rows:
            hint = "features cover the sentences of the cache as they are written, and no others"
            raise CacheError(f"{self.manifest.name} has no features of the sentence {text!r}", hint=hint)
        return self._rows[text]

    def _read(self, row: int, place: NDArray[np.floating]) -> None:
        words = self._files.dataset(self.manifest.file.name, WORDS)
        if words.shape != self.manifest.shape or words.dtype != place.dtype:
            raise OSError(f"it holds {words.dtype} {words.shape}, not {place.dtype} {self.manifest.shape}")
        words.id.read_direct_chunk((row, 0, 0), out=place.reshape(-1).view(np.uint8))
