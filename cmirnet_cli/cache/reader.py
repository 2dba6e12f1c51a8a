"""A cache folder, opened for training and scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.cache.annotations import Ragged, Table, mask_field
from cmirnet_cli.cache.features import all_features
from cmirnet_cli.cache.folder import damage, read_manifest, require_files, require_whole, verify_it
from cmirnet_cli.cache.hdf5 import OpenFiles
from cmirnet_cli.cache.schema import ANNOTATIONS, CachedFile, Manifest
from cmirnet_cli.cache.stores import store_of
from cmirnet_cli.errors import CacheError, ImageError
from cmirnet_cli.images.masks import decode_mask, decode_runs, resized_mask
from cmirnet_cli.refer.referent import Sentence
from cmirnet_cli.refer.registry import belongs


@dataclass(frozen=True)
class Sample:
    """One sentence with its image and target at one size.

    Attributes:
        ref_id: REFER's id of the referent.
        image_id: the data set's id of the image, as text.
        sent_id: REFER's id of the sentence.
        text: the sentence as written.
        image: uint8 (S, S, 3), RGB.
        mask: uint8 (S, S), 1 on the referent, else 0.
    """

    ref_id: int
    image_id: str
    sent_id: int
    text: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


@dataclass(frozen=True)
class CachedReferent:
    """One referent as the cache knows it; `split` is its label, `height` and `width` are its image's, in pixels."""

    ref_id: int
    image_row: int
    image_id: str
    split: str
    category: str
    height: int
    width: int
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class Damage:
    """A file of a cache that is not what the manifest says, and how."""

    name: str
    reason: str


class Cache:
    """A prepared data set: referents by row, images by row, masks at each prepared size.

    May be pickled and handed to worker processes, forked or spawned; each opens its own files on first use.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._files = OpenFiles(folder, manifest.fingerprint.key)
        self._table = Table.load(self._files.file(ANNOTATIONS))
        self._labels = self._table.split.texts()
        self._categories = self._table.category.texts()
        self._masks: dict[int | None, Ragged] = {}
        self._store = store_of(manifest.options)
        self._shard_starts = np.array([0, *accumulate(shard.images for shard in manifest.shards)])

    @classmethod
    def open(cls, folder: Path | str) -> Cache:
        """Open a cache folder.

        Raises:
            CacheError: there is none, it is of another schema version, one of its files is missing or cut short, or the annotations
                are not as they were written (the images' content is not read here: `verify` does that).
        """
        place = Path(folder).absolute()
        manifest = read_manifest(place)
        require_files(place, manifest)
        require_whole(place, [manifest.annotations])
        return cls(place, manifest)

    def __reduce__(self) -> tuple[Any, ...]:
        return Cache.open, (self.folder,)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have referents."""
        return tuple(self.manifest.counts)

    def referent_rows(self, split: str) -> NDArray[np.int64]:
        """int64 (r,): rows of the referents that belong to `split`, in the order of the annotation file.

        Raises:
            CacheError: no label belongs to `split`.
        """
        codes = [code for code, label in enumerate(self._labels) if belongs(label, split)]
        if not codes:
            raise CacheError(f"{self.folder} has no split {split!r}", hint=f"its splits are {', '.join(self.splits)}")
        return np.flatnonzero(np.isin(self._table.ref_split, codes)).astype(np.int64)

    def referent(self, row: int) -> CachedReferent:
        """One referent with all its sentences."""
        table = self._table
        image_row = int(table.ref_image[row])
        height, width = self.original_size(image_row)
        return CachedReferent(
            ref_id=int(table.ref_id[row]),
            image_row=image_row,
            image_id=table.image_id.text(image_row),
            split=self._labels[table.ref_split[row]],
            category=self._categories[table.ref_category[row]],
            height=height,
            width=width,
            sentences=tuple(self._sentence(place) for place in range(*table.ref_sentences[row : row + 2])),
        )

    def refers_to_nothing(self, row: int) -> bool:
        """Whether the sentences of a referent refer to nothing in the image, as its annotation says.

        A cache of a version that did not note it is taken to say so of every empty mask.
        """
        objects = int(self._table.ref_objects[row])
        return objects == 0 if objects >= 0 else not self.mask(row, None).any()

    def split_sentences(self, split: str) -> list[str]:
        """Every sentence of a split, referent by referent; raises as `referent_rows` does."""
        return [sentence.text for row in self.referent_rows(split).tolist() for sentence in self.referent(row).sentences]

    def sentence_counts(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 (r,): how many sentences each of these referents has."""
        begins = self._table.ref_sentences
        return begins[rows + 1] - begins[rows]

    def distinct_sentences(self) -> tuple[str, ...]:
        """Every distinct sentence, whatever its split, in the order in which they first appear."""
        return tuple(dict.fromkeys(self._table.sentence_text.texts()))

    def original_size(self, image_row: int) -> tuple[int, int]:
        """Height and width of an image's file, in pixels."""
        height, width = self._table.image_size[image_row]
        return int(height), int(width)

    def image_file(self, image_row: int) -> str:
        """The source file an image was read from, as recorded when the cache was made."""
        return self._table.image_path.text(image_row)

    def image(self, image_row: int, size: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """uint8 (S, S, 3), RGB: PIL's bilinear, antialiased resize, bit for bit; read into `out`, contiguous, where that is given.

        Raises:
            CacheError: images were not prepared at `size`, or the shard is damaged.
            ValueError: `out` is not contiguous.
        """
        if out is not None and not out.flags.c_contiguous:
            raise ValueError("the array to read an image into must be contiguous")
        shard = int(np.searchsorted(self._shard_starts, image_row, side="right")) - 1
        name = self.manifest.shards[shard].name
        row = image_row - int(self._shard_starts[shard])
        with self._reading(name):
            return self._store.read(lambda dataset: self._files.dataset(name, dataset), row, size, self.image_file(image_row), out)

    def mask(self, row: int, size: int | None) -> NDArray[np.uint8]:
        """uint8 (S, S), 1 on the referent: PIL's nearest resize of the original; with `size` None, uint8 (H, W) at the image's own size.

        A size that was not prepared is made from the original at each call, with the same result.

        Raises:
            CacheError: the annotations are damaged.
        """
        if size is None:
            return decode_mask(self._mask_column(None)[row], *self.original_size(int(self._table.ref_image[row])))
        if size not in self.manifest.options.sizes:
            return resized_mask(self.mask(row, None), size)
        return decode_runs(self._mask_column(size)[row], size)

    def sample(self, row: int, sentence: int, size: int, out: NDArray[np.uint8] | None = None) -> Sample:
        """One sentence (counted from 0 within its referent) with its image, `out` as for `image`, and mask. Raises as these do."""
        table = self._table
        image_row = int(table.ref_image[row])
        expression = self._sentence(range(*table.ref_sentences[row : row + 2])[sentence])
        return Sample(
            ref_id=int(table.ref_id[row]),
            image_id=table.image_id.text(image_row),
            sent_id=expression.sent_id,
            text=expression.text,
            image=self.image(image_row, size, out),
            mask=self.mask(row, size),
        )

    def _sentence(self, place: int) -> Sentence:
        return Sentence(int(self._table.sentence_id[place]), self._table.sentence_text.text(place))

    def _mask_column(self, size: int | None) -> Ragged:
        if size not in self._masks:
            with self._reading(ANNOTATIONS):
                self._masks[size] = Ragged.load(self._files.file(ANNOTATIONS), mask_field(size))
        return self._masks[size]

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except (KeyError, OSError, RuntimeError, ValueError, ImageError) as error:
            raise CacheError(f"{self.folder / name} is damaged: {error}", hint=verify_it(self.folder)) from error


def files_of(folder: Path) -> tuple[CachedFile, ...]:
    """Every file of a cache and of the text features in it, but the manifests.

    Raises:
        CacheError: a manifest is missing or damaged.
    """
    return (*read_manifest(folder).files, *(features.file for features in all_features(folder)))


def verify(folder: Path | str, advance: Callable[[int], None] = lambda files: None) -> list[Damage]:
    """Read every file of a cache again and compare it with its manifest; an empty list means that all is well.

    Raises:
        CacheError: a manifest itself is missing or damaged.
    """
    place = Path(folder)
    damages = []
    for file in files_of(place):
        if (reason := damage(place, file)) is not None:
            damages.append(Damage(file.name, reason))
        advance(1)
    return damages
