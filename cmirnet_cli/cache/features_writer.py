"""Writes text features; another room computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.cache.features import DTYPES, WORDS, WORDS_FILE, FeaturesManifest, TextFacts, features_name, read_features, require_fitting
from cmirnet_cli.cache.hdf5 import create
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import MANIFEST
from cmirnet_cli.cache.staging import install, sole_writer, staging_folder
from cmirnet_cli.errors import CacheError
from cmirnet_cli.files import new_file, sha256_of, sweep

_CHUNK_BYTES = 100
"""What HDF5's own tables take for a chunk."""


def features_size(cache: Cache, facts: TextFacts) -> int:
    """Bytes that the features of all sentences take."""
    return len(cache.sentences()) * (facts.origin.tokens * facts.width * np.dtype(DTYPES[facts.dtype]).itemsize + _CHUNK_BYTES)


def finished_features(cache: Cache, facts: TextFacts) -> FeaturesManifest | None:
    """The manifest of these very features, if they stand in the cache already.

    Raises:
        CacheError: what stands there is damaged, of another dtype, or of other data.
    """
    folder = cache.folder / features_name(facts.origin)
    if not folder.exists():
        return None
    found = read_features(folder)
    require_fitting(cache.folder, cache.manifest.fingerprint.key, found)
    if found.facts.dtype != facts.dtype:
        message = f"{folder} holds features that are {found.facts.dtype}, not {facts.dtype}"
        raise CacheError(message, hint="use them as they are, or replace them with --overwrite")
    return found


def write_features(
    cache: Cache,
    facts: TextFacts,
    words: Iterable[NDArray[np.float32]],
    *,
    overwrite: bool = False,
    advance: Callable[[int], object] = lambda sentences: None,
    notice: Callable[[str], None] = lambda message: None,
) -> FeaturesManifest:
    """Write the features of all sentences of a cache; their folder appears when they are complete.

    These very features, where they stand there already or another process finished them first, are left as they are.

    Args:
        cache: whose sentences they are.
        facts: what they are.
        words: float32 (b, T, D), a few sentences at a time, in the order of `cache.sentences()`; not asked for what stands there.
        overwrite: replace features of the same origin, once the new ones are complete.
        advance: called with the number of sentences done since the last call.
        notice: called with a sentence when something is worth knowing (waiting).

    Raises:
        CacheError: other features of the same origin stand there, a number does not fit the dtype, or a file cannot be written.
    """
    folder = cache.folder / features_name(facts.origin)
    key, sentences = cache.manifest.fingerprint.key, len(cache.sentences())
    staging = staging_folder(folder, key)
    with sole_writer(staging, notice) as alone:
        if not overwrite and (finished := finished_features(cache, facts)):
            return finished
        if alone:
            sweep(staging)
        with create(staging / WORDS_FILE, key, features_size(cache, facts)) as file:
            _fill(file, facts, sentences, words, advance)
        manifest = _manifest(staging / WORDS_FILE, facts, key, sentences)
        with new_file(staging / MANIFEST, CacheError) as path:
            path.write_text(manifest.to_json(), encoding="utf-8")
        install(staging, folder, overwrite)
    return manifest


def _fill(
    file: h5py.File, facts: TextFacts, sentences: int, words: Iterable[NDArray[np.float32]], advance: Callable[[int], object]
) -> None:
    shape, dtype = (sentences, facts.origin.tokens, facts.width), np.dtype(DTYPES[facts.dtype])
    rows = file.create_dataset(WORDS, shape, dtype, chunks=(1, *shape[1:]), fill_time="never", track_times=False)
    row = 0
    for some in words:
        rows[row : row + len(some)] = _rounded(some, dtype)
        row += len(some)
        advance(len(some))
    if row != sentences:
        raise ValueError(f"{row} sentences were encoded, the cache has {sentences}")


def _rounded(words: NDArray[np.float32], dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
    with np.errstate(over="ignore"):
        rounded = words.astype(dtype)
    if not np.isfinite(rounded).all():
        raise CacheError(f"the text encoder gives numbers that are not finite as {dtype.name}", hint="use --dtype fp32, or other weights")
    return rounded


def _manifest(path: Path, facts: TextFacts, cache: str, sentences: int) -> FeaturesManifest:
    return FeaturesManifest(facts, cache, sentences, sha256_of(path), path.stat().st_size)
