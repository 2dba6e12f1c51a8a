"""What an annotation file says, in the field's words: a referent is an object of an image with the sentences that refer to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cmirnet_cli.images import Segmentation
from cmirnet_cli.images.mask_files import MaskOddity

Oddity = MaskOddity | Literal["turned"]
"""What a reader found odd about a mask that it could read; `turned`: EXIF turns the picture, and nothing says which way up its outline
was drawn."""


@dataclass(frozen=True)
class Sentence:
    """One expression that refers to a referent; `text` keeps case and punctuation (REFER's `raw`)."""

    sent_id: int
    text: str


@dataclass(frozen=True)
class ImageRecord:
    """One image file and the size its annotations were drawn at, in pixels.

    `upright` says which picture that is: the file's with its EXIF orientation applied, as people see it (one's own data), or the
    stored one, whatever EXIF says (REFER's annotations).
    """

    image_id: int | str
    path: Path
    height: int
    width: int
    upright: bool = False


@dataclass(frozen=True)
class Referent:
    """One referred object (or several, or none: gRefCOCO) of one image.

    `objects` holds one segmentation per referred object; it is empty when the sentences refer to nothing in the image. `record` is what
    the annotation file calls it ("annotation 7"), where that is not its `ref_id`.
    """

    ref_id: int
    split: str
    image: ImageRecord
    category: str
    objects: tuple[Segmentation, ...]
    sentences: tuple[Sentence, ...]
    record: str = ""
    oddity: Oddity | None = None

    @property
    def named(self) -> str:
        """What people find it by: the record of the annotation file, or the `ref_id`."""
        return self.record or f"ref {self.ref_id}"


@dataclass(frozen=True)
class ReferDataset:
    """All referents of one data set under one split, in the order of the annotation file.

    `remarks` are sentences about how the data set came to be that its user should know; `left_out` says of each record that could not be
    read, and was to be skipped, why.
    """

    name: str
    split_by: str
    referents: tuple[Referent, ...]
    annotation_files: tuple[Path, ...]
    remarks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[ImageRecord, ...]:
        """The distinct images, in the order of their first referent."""
        return tuple({referent.image.image_id: referent.image for referent in self.referents}.values())

    @property
    def splits(self) -> tuple[str, ...]:
        """The distinct split labels, in the order of their first referent."""
        return tuple(dict.fromkeys(referent.split for referent in self.referents))
