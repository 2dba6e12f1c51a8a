"""What a cache folder holds and what makes two caches the same; the manifest says both.

<dataset>-<split_by>/
  manifest.json       `Manifest`, written last: a folder without one is not a cache
  annotations.h5      referents, sentences, masks, the table of images
  images-00000.h5 …   at most `SHARD_IMAGES` images each
  text-features-…/    a text encoder's output for the sentences, if it was stored: see `features`
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter

from cmirnet_cli.errors import CacheError
from cmirnet_cli.images import OverlapRule

SCHEMA_VERSION = 2
SHARD_IMAGES = 512

MANIFEST = "manifest.json"
ANNOTATIONS = "annotations.h5"

_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")

Store = Literal["decoded", "encoded"]
Signed = TypeVar("Signed")


def cache_name(dataset: str, split_by: str) -> str:
    """The name of a cache's folder."""
    return f"{dataset}-{split_by}"


def shard_name(number: int) -> str:
    """The file name of one shard of images, counted from 0."""
    return f"images-{number:05d}.h5"


@dataclass(frozen=True)
class CacheOptions:
    """What the user chooses about a cache.

    Attributes:
        store: `decoded` keeps pixels at each of `sizes`; `encoded` keeps the original file's bytes and is resized when read.
        sizes: side lengths S of the square network inputs, in pixels; masks are kept at each of them.
        overlap: what becomes of pixels that two polygons of a referent share; see `images.masks.rasterise`.
    """

    store: Store = "decoded"
    sizes: tuple[int, ...] = (480,)
    overlap: OverlapRule = "paper"

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1 or len(set(self.sizes)) < len(self.sizes):
            hint = "give one or more different sizes of at least 1 pixel"
            raise CacheError(f"a cache cannot have the sizes {list(self.sizes)}", hint=hint)


@dataclass(frozen=True)
class Fingerprint:
    """All that shapes the bytes of a cache: equal fingerprints give equal files.

    Attributes:
        annotation_files: (folder/name, sha256) of each annotation file.
        referents: sha256 over every referent as it was understood.
        images: sha256 over every image's id, file name, size in pixels, whether it is taken upright, and its file's sha256.
        skipped: names of image files left out because they cannot be read.
        decoder: the libraries that turn files into pixels, with their versions.
    """

    schema_version: int
    dataset: str
    split_by: str
    options: CacheOptions
    annotation_files: tuple[tuple[str, str], ...]
    referents: str
    images: str
    skipped: tuple[str, ...]
    decoder: str

    @property
    def key(self) -> str:
        """Sha256 over all fields, as hexadecimal text."""
        return digest_of(asdict(self))

    def differences(self, other: Fingerprint) -> list[str]:
        """One line for each field in which this one differs from `other`: `field is …, not …`, the first its own value."""
        return differences(_flat(asdict(self)), _flat(asdict(other)))


@dataclass(frozen=True)
class CachedFile:
    """One file of a cache; `images` is how many images it holds (0 in the annotations)."""

    name: str
    sha256: str
    size: int
    images: int


@dataclass(frozen=True)
class SplitCounts:
    """How much one split has."""

    refs: int
    images: int
    sentences: int


@dataclass(frozen=True)
class MaskFinding:
    """The odd masks of one kind in a split.

    Attributes:
        split: the label of the split, as the annotations have it.
        kind: a key of `audit.KINDS`.
        count: how many there are.
        masks: how many masks the split has in all.
        examples: the first of them: the image's name, a sentence, and the record or `ref_id`.
    """

    split: str
    kind: str
    count: int
    masks: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What a finished cache says about itself; `counts` has one entry per split.

    `audit` holds what is odd about its masks; None in a cache of a version that did not look.
    """

    fingerprint: Fingerprint
    annotations: CachedFile
    shards: tuple[CachedFile, ...]
    counts: dict[str, SplitCounts]
    audit: tuple[MaskFinding, ...] | None = None

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.fingerprint.dataset

    @property
    def split_by(self) -> str:
        """Who split the data set."""
        return self.fingerprint.split_by

    @property
    def options(self) -> CacheOptions:
        """What the user chose when the cache was made."""
        return self.fingerprint.options

    @property
    def files(self) -> tuple[CachedFile, ...]:
        """Every file of the cache but the manifest."""
        return (self.annotations, *self.shards)

    def to_json(self) -> str:
        """The manifest as text, with a digest of itself in `sha256`; equal manifests give equal text."""
        return signed(asdict(self), self.fingerprint.schema_version)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what `to_json` wrote.

        Raises:
            CacheError: the text is of another schema version, or was damaged or edited.
        """
        return read_signed(text, SCHEMA_VERSION, cls)


def signed(content: dict[str, Any], schema_version: int) -> str:
    """What a manifest says as JSON, with a digest of it in `sha256`; equal contents give equal text."""
    return json.dumps({"schema_version": schema_version, **content, "sha256": digest_of(content)}, indent=1) + "\n"


def read_signed(text: str, schema_version: int, kind: type[Signed]) -> Signed:
    """What `signed` wrote, as the dataclass `kind`.

    Raises:
        CacheError: the text is of another schema version, or was damaged or edited.
    """
    try:
        content = dict(json.loads(text))
        version, digest = content.pop("schema_version"), content.pop("sha256")
        if version != schema_version:
            raise CacheError(f"its schema_version is {version}, this program reads {schema_version}")
        if digest != digest_of(content):
            raise CacheError(f"{MANIFEST} differs from its own digest: it was damaged or edited")
        return TypeAdapter(kind).validate_python(content)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CacheError(f"{MANIFEST} is damaged: {error!r}") from error


def digest_of(value: Any) -> str:
    """Sha256 of a value made of dicts, lists, text, bytes, numbers and None, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_as_json)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(own: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """`field is …, not …` for each field in which two differ, each sha256 cut to enough to tell it from another."""
    return [_DIGEST.sub(r"\1", f"{field} is {own[field]!r}, not {others[field]!r}") for field in own if own[field] != others[field]]


def _as_json(value: Any) -> Any:
    """Bytes (compressed RLE) and mappings, in JSON's words."""
    return value.decode("latin-1") if isinstance(value, bytes) else dict(value)


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, **fields["options"], "options": None}
