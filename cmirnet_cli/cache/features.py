"""Text features: what a text encoder made of every distinct sentence of a cache. They lie in the cache's folder, one folder an encoder.

<dataset>-<split_by>/
  text-features-<key>/
    manifest.json   `FeaturesManifest`, written last: a folder without one is damaged
    words.h5        `words`, (sentences, T, D): one chunk a sentence, padding included, in the order of `Cache.sentences`
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cmirnet_cli.cache.folder import make_features_again
from cmirnet_cli.cache.schema import MANIFEST, CachedFile, digest_of, read_signed, shortened, signed
from cmirnet_cli.errors import CacheError

FEATURES_VERSION = 1
WORDS_FILE, WORDS = "words.h5", "words"
DTYPES = {"fp32": "<f4", "fp16": "<f2"}

Dtype = Literal["fp32", "fp16"]

_PREFIX, _KEY = "text-features-", 12


@dataclass(frozen=True)
class TextOrigin:
    """All that the features of a sentence depend on: equal origins give equal features, up to the rounding of the machine.

    Attributes:
        encoder: sha256 of the text encoder.
        tokenizer: sha256 of its tokenizer.
        tokens: T, the length that every sentence is cut or padded to.
    """

    encoder: str
    tokenizer: str
    tokens: int

    @property
    def key(self) -> str:
        """Sha256 over all fields, as hexadecimal text."""
        return digest_of(asdict(self))

    def differences(self, other: TextOrigin) -> list[str]:
        """One piece of text for each field in which `self` (found) differs from `other` (wanted)."""
        found, wanted = asdict(self), asdict(other)
        return [shortened(f"{field} is {found[field]}, not {wanted[field]}") for field in found if found[field] != wanted[field]]


@dataclass(frozen=True)
class TextFacts:
    """What text features are.

    Attributes:
        origin: what they were made with.
        source: where that came from, in the words of whoever made them.
        dtype: `fp32`, or `fp16` in half the room and rounded.
        width: D, channels of the text encoder.
    """

    origin: TextOrigin
    source: str
    dtype: Dtype
    width: int


@dataclass(frozen=True)
class FeaturesManifest:
    """What finished features say about themselves.

    Attributes:
        facts: what they are.
        cache: fingerprint key of the cache whose sentences they are of.
        sentences: how many those are.
        digest: sha256 of words.h5.
        size: of words.h5, in bytes.
    """

    facts: TextFacts
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

    def to_json(self) -> str:
        """The manifest as text, with a digest of itself; equal manifests give equal text."""
        return signed(asdict(self), FEATURES_VERSION)


def features_name(origin: TextOrigin) -> str:
    """The folder, in that of the cache, that holds the features of this origin."""
    return _PREFIX + origin.key[:_KEY]


def read_features(folder: Path) -> FeaturesManifest:
    """The manifest in a folder of features.

    Raises:
        CacheError: it is missing, damaged, of another schema version, or of another folder.
    """
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


def holds_features(folder: Path) -> bool:
    """Whether a folder's name says that text features lie, grow or make way in it."""
    return folder.name.startswith(_PREFIX)


def all_features(cache: Path) -> list[FeaturesManifest]:
    """The manifests of all finished features in a cache's folder. Raises as `read_features` does."""
    return [read_features(folder) for folder in sorted(cache.glob(_PREFIX + "[0-9a-f]" * _KEY))]


def require_fitting(cache: Path, key: str, manifest: FeaturesManifest) -> None:
    """Refuse features of other data than the cache in the folder `cache`, whose fingerprint's key is given, or cut short.

    Raises:
        CacheError: they are of other data, or words.h5 is missing or of the wrong length.
    """
    file = cache / manifest.file.name
    if manifest.cache != key or not file.is_file() or file.stat().st_size != manifest.size:
        wrong = "belong to another cache" if manifest.cache != key else "are damaged: words.h5 is missing or of the wrong length"
        raise CacheError(f"the text features in {file.parent} {wrong}", hint=make_features_again(cache))
