"""Text features: what a text encoder made of every distinct sentence of a cache, in the cache's folder, one folder an encoder.

<dataset>-<split_by>/
  text-features-<key>/
    manifest.json   `FeaturesManifest`, written last: a folder without one is damaged
    words.h5        `words`, (sentences, T, D): one chunk a sentence, padding included, in the order of `Cache.distinct_sentences`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.cache.folder import make_features_again, verify_it
from cmirnet_cli.cache.schema import MANIFEST, CachedFile, digest_of, read_signed, signed
from cmirnet_cli.cache.staging import install, sole_writer, staging_folder
from cmirnet_cli.errors import CacheError
from cmirnet_cli.files import new_file, sha256_of, sweep

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache

FEATURES_VERSION = 1
WORDS_FILE, WORDS = "words.h5", "words"
DTYPES: dict[str, np.dtype[Any]] = {"fp32": np.dtype("<f4"), "fp16": np.dtype("<f2")}

Dtype = Literal["fp32", "fp16"]

_PREFIX, _KEY = "text-features-", 12
_CHUNK_BYTES = 100  # what HDF5's own tables take for a chunk


@dataclass(frozen=True)
class TextOrigin:
    """All that features depend on: sha256 of the text encoder and of its tokenizer, and T, the tokens that a sentence is cut or padded to.

    Equal origins give equal features, up to the rounding of the machine.
    """

    encoder: str
    tokenizer: str
    tokens: int


@dataclass(frozen=True)
class FeaturesSpec:
    """What text features are; `source` says where their origin came from, `width` is D, the channels of the text encoder."""

    origin: TextOrigin
    source: str
    dtype: Dtype
    width: int

    def size(self, sentences: int) -> int:
        """Bytes that the features of so many sentences take."""
        return sentences * (self.origin.tokens * self.width * DTYPES[self.dtype].itemsize + _CHUNK_BYTES)


@dataclass(frozen=True)
class FeaturesManifest:
    """What finished features say about themselves: the fingerprint key of their cache, its sentences, sha256 and bytes of words.h5."""

    facts: FeaturesSpec
    cache: str
    sentences: int
    digest: str
    size: int

    @property
    def name(self) -> str:
        """The name of their folder."""
        return features_name(self.facts.origin)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sentences, T, D)."""
        return self.sentences, self.facts.origin.tokens, self.facts.width

    @property
    def file(self) -> CachedFile:
        """words.h5, by its path from the cache's folder."""
        return CachedFile(f"{self.name}/{WORDS_FILE}", self.digest, self.size, 0)


def features_name(origin: TextOrigin) -> str:
    """The folder, in that of the cache, that holds the features of this origin."""
    return _PREFIX + digest_of(asdict(origin))[:_KEY]


def holds_features(folder: Path) -> bool:
    """Whether a folder's name says that text features lie, grow or make way in it."""
    return folder.name.startswith(_PREFIX)


def all_features(cache: Path) -> list[FeaturesManifest]:
    """The manifests of all finished features in a cache's folder.

    Raises:
        CacheError: one is missing, damaged, of another schema version, or of another folder.
    """
    return [_read_manifest(folder) for folder in sorted(cache.glob(_PREFIX + "[0-9a-f]" * _KEY))]


def require_fitting(cache: Path, key: str, manifest: FeaturesManifest) -> None:
    """Refuse features of other data than the cache in the folder `cache`, which has this fingerprint key, or cut short.

    Raises:
        CacheError: they are of other data, or words.h5 is missing or of the wrong length.
    """
    file = cache / manifest.file.name
    if manifest.cache != key or not file.is_file() or file.stat().st_size != manifest.size:
        wrong = "belong to another cache" if manifest.cache != key else "are damaged: words.h5 is missing or of the wrong length"
        raise CacheError(f"the text features in {file.parent} {wrong}", hint=make_features_again(cache))


def _read_manifest(folder: Path) -> FeaturesManifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise CacheError(f"the text features in {folder} have no {MANIFEST}", hint=make_features_again(folder.parent))
    try:
        manifest = read_signed(path.read_text(encoding="utf-8"), FEATURES_VERSION, FeaturesManifest)
        if manifest.name != folder.name:
            raise CacheError(f"it belongs in {manifest.name}")
    except (OSError, UnicodeDecodeError, CacheError) as error:
        raise CacheError(f"cannot use the text features in {folder}: {error}", hint=make_features_again(folder.parent)) from error
    return manifest


class TextFeatures:
    """What a text encoder made of each sentence of a cache. May be pickled, as a `Cache` may.

    Raises:
        CacheError: the features are of other data, or words.h5 is missing or cut short.
    """

    def __init__(self, cache: Cache, manifest: FeaturesManifest) -> None:
        from cmirnet_cli.cache.hdf5 import OpenFiles

        key = cache.manifest.fingerprint.key
        require_fitting(cache.folder, key, manifest)
        self.cache, self.manifest = cache, manifest
        self._files = OpenFiles(cache.folder, key)
        self._rows = {text: row for row, text in enumerate(cache.distinct_sentences())}

    def __reduce__(self) -> tuple[Any, ...]:
        return TextFeatures, (self.cache, self.manifest)

    @classmethod
    def finished(cls, cache: Cache, spec: FeaturesSpec) -> TextFeatures | None:
        """These very features, if they stand in the cache already.

        Raises:
            CacheError: what stands there is damaged, of another dtype, or of other data.
        """
        folder = cache.folder / features_name(spec.origin)
        if not folder.exists():
            return None
        features = cls(cache, _read_manifest(folder))
        if (dtype := features.manifest.facts.dtype) != spec.dtype:
            message = f"{folder} holds features that are {dtype}, not {spec.dtype}"
            raise CacheError(message, hint="use them as they are, or replace them with --overwrite")
        return features

    @classmethod
    def write(
        cls,
        cache: Cache,
        spec: FeaturesSpec,
        words: Iterable[NDArray[np.float32]],
        *,
        overwrite: bool = False,
        notice: Callable[[str], None] = lambda message: None,
    ) -> TextFeatures:
        """Write the features of all sentences of a cache; their folder appears when they are complete.

        Args:
            cache: whose sentences they are.
            spec: what they are.
            words: float32 (b, T, D), a few sentences at a time, in the order of `cache.distinct_sentences()`.
            overwrite: replace features of the same origin; else those that stand there, or that another process finishes first, stay.
            notice: called with each line for the user (waiting).

        Raises:
            CacheError: other features of the same origin stand there, a number does not fit the dtype, or a file cannot be written.
        """
        from cmirnet_cli.cache.hdf5 import create

        folder, key = cache.folder / features_name(spec.origin), cache.manifest.fingerprint.key
        staging = staging_folder(folder, key)
        with sole_writer(staging, notice) as alone:
            if not overwrite and (finished := cls.finished(cache, spec)):
                return finished
            if alone:
                sweep(staging)
            shape, dtype, done = (len(cache.distinct_sentences()), spec.origin.tokens, spec.width), DTYPES[spec.dtype], 0
            with create(staging / WORDS_FILE, key, spec.size(shape[0])) as content:
                rows = content.create_dataset(WORDS, shape, dtype, chunks=(1, *shape[1:]), fill_time="never", track_times=False)
                for batch in words:
                    with np.errstate(over="ignore"):
                        rounded = batch.astype(dtype)
                    if not np.isfinite(rounded).all():
                        wrong = f"the text encoder gives numbers that are not finite as {dtype.name}"
                        raise CacheError(wrong, hint="use --dtype fp32, or other weights")
                    rows[done : done + len(batch)] = rounded
                    done += len(batch)
                if done != len(rows):
                    raise ValueError(f"{done} sentences were encoded, the cache has {len(rows)}")
            file = staging / WORDS_FILE
            manifest = FeaturesManifest(spec, key, shape[0], sha256_of(file), file.stat().st_size)
            with new_file(staging / MANIFEST, CacheError) as path:
                path.write_text(signed(asdict(manifest), FEATURES_VERSION), encoding="utf-8")
            install(staging, folder, overwrite)
        return cls(cache, manifest)

    def words(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (B, T, D): the encoder's last hidden state for each sentence, padding included.

        Raises:
            CacheError: a text is not a sentence of the cache, or the file is damaged.
        """
        manifest = self.manifest
        if unknown := [text for text in texts if text not in self._rows]:
            hint = "features cover the sentences of the cache as they are written, and no others"
            raise CacheError(f"{manifest.name} has no features of the sentence {unknown[0]!r}", hint=hint)
        words: NDArray[np.floating] = np.empty((len(texts), *manifest.shape[1:]), DTYPES[manifest.facts.dtype])
        try:
            stored = self._files.dataset(manifest.file.name, WORDS)
            if stored.shape != manifest.shape or stored.dtype != words.dtype:
                raise OSError(f"it holds {stored.dtype} {stored.shape}, not {words.dtype} {manifest.shape}")
            for place, text in zip(words, texts, strict=True):
                stored.id.read_direct_chunk((self._rows[text], 0, 0), out=place.reshape(-1).view(np.uint8))
        except (OSError, RuntimeError, ValueError) as error:
            message = f"{self.cache.folder / manifest.file.name} is damaged: {error}"
            raise CacheError(message, hint=verify_it(self.cache.folder)) from error
        return words.astype(np.float32, copy=False)
