"""`annotations.h5`: referents, sentences, images and masks as flat arrays that open in milliseconds."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypeVar, get_type_hints

import h5py
import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.refer.referent import ReferDataset

Integers: TypeAlias = NDArray[np.int64]
Label = TypeVar("Label", bound=Hashable)


@dataclass(frozen=True)
class Ragged:
    """Byte strings laid end to end.

    Attributes:
        data: uint8 (total,), all strings.
        starts: int64 (n + 1,), where each begins; the last entry is `total`.
    """

    data: NDArray[np.uint8]
    starts: Integers

    @classmethod
    def pack(cls, items: Iterable[bytes]) -> Ragged:
        """Lay byte strings end to end."""
        rows = list(items)
        return cls(np.frombuffer(b"".join(rows), np.uint8), starts_of(len(row) for row in rows))

    @classmethod
    def of_text(cls, items: Iterable[str]) -> Ragged:
        """Text as UTF-8; lone surrogates survive."""
        return cls.pack(text.encode("utf-8", "surrogatepass") for text in items)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> bytes:
        return self.data[self.starts[row] : self.starts[row + 1]].tobytes()

    def text(self, row: int) -> str:
        """One row as text."""
        return self[row].decode("utf-8", "surrogatepass")

    def texts(self) -> tuple[str, ...]:
        """All rows as text."""
        return tuple(self.text(row) for row in range(len(self)))

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.data.nbytes + self.starts.nbytes

    def save(self, file: Any, name: str) -> None:
        """Write to an open HDF5 file as datasets `name` and `name_starts`."""
        file.create_dataset(name, data=self.data, track_times=False)
        file.create_dataset(f"{name}_starts", data=self.starts, track_times=False)

    @classmethod
    def load(cls, file: Any, name: str) -> Ragged:
        """Read what `save` wrote."""
        return cls(file[name][()], file[f"{name}_starts"][()])


def starts_of(lengths: Iterable[int]) -> Integers:
    """int64 (n + 1,): where pieces of these lengths begin when laid end to end, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.fromiter(lengths, np.int64))]).astype(np.int64)


@dataclass(frozen=True)
class Table:
    """A data set without its pixels and masks: r referents, s sentences, n images; the fields are the file's data sets.

    Attributes:
        image_id: n ids as text.
        image_path: n source files.
        image_size: int64 (n, 2), height and width in pixels.
        ref_id: int64 (r,).
        ref_image: int64 (r,), rows of the images.
        ref_split: int64 (r,), rows of `split`.
        ref_category: int64 (r,), rows of `category`.
        ref_objects: int64 (r,), how many objects each refers to; -1 in a cache of a version that did not say.
        ref_sentences: int64 (r + 1,), where each referent's sentences begin.
        sentence_id: int64 (s,).
        sentence_text: s sentences as written.
        split: the distinct split labels.
        category: the distinct category names.
    """

    image_id: Ragged
    image_path: Ragged
    image_size: Integers
    ref_id: Integers
    ref_image: Integers
    ref_split: Integers
    ref_category: Integers
    ref_objects: Integers
    ref_sentences: Integers
    sentence_id: Integers
    sentence_text: Ragged
    split: Ragged
    category: Ragged

    @classmethod
    def of(cls, dataset: ReferDataset) -> Table:
        """Lay out a data set."""
        images, referents = dataset.images, dataset.referents
        sentences = [sentence for referent in referents for sentence in referent.sentences]
        splits, ref_split = _coded(referent.split for referent in referents)
        categories, ref_category = _coded(referent.category for referent in referents)
        _, ref_image = _coded(referent.image.image_id for referent in referents)
        return cls(
            image_id=Ragged.of_text(str(image.image_id) for image in images),
            image_path=Ragged.of_text(str(image.path) for image in images),
            image_size=np.array([(image.height, image.width) for image in images], np.int64),
            ref_id=np.array([referent.ref_id for referent in referents], np.int64),
            ref_image=ref_image,
            ref_split=ref_split,
            ref_category=ref_category,
            ref_objects=np.array([len(referent.objects) for referent in referents], np.int64),
            ref_sentences=starts_of(len(referent.sentences) for referent in referents),
            sentence_id=np.array([sentence.sent_id for sentence in sentences], np.int64),
            sentence_text=Ragged.of_text(sentence.text for sentence in sentences),
            split=Ragged.of_text(splits),
            category=Ragged.of_text(categories),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all fields."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    def save(self, file: h5py.File) -> None:
        """Write every field to an open file."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Ragged):
                value.save(file, field.name)
            else:
                file.create_dataset(field.name, data=value, track_times=False)

    @classmethod
    def load(cls, file: h5py.File) -> Table:
        """Read what `save` wrote."""
        kinds = get_type_hints(cls)
        if "ref_objects" not in file:
            del kinds["ref_objects"]
        values: dict[str, Any] = {name: Ragged.load(file, name) if kind is Ragged else file[name][()] for name, kind in kinds.items()}
        return cls(**{"ref_objects": np.full(len(values["ref_id"]), -1), **values})


def mask_field(size: int | None) -> str:
    """The data set that holds the masks at one size; None is the original size."""
    return "mask_original" if size is None else f"mask_{size}"


def _coded(labels: Iterable[Label]) -> tuple[tuple[Label, ...], Integers]:
    """The distinct labels in the order they first appear, and each label's place among them."""
    places: dict[Label, int] = {}
    codes = [places.setdefault(label, len(places)) for label in labels]
    return tuple(places), np.array(codes, np.int64)
