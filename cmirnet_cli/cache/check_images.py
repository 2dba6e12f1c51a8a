"""Which images cannot be cached, and which are changed to fit into 8 bits, found before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from cmirnet_cli.cache.workers import in_order
from cmirnet_cli.errors import DataError, ImageError
from cmirnet_cli.images.depth import Range
from cmirnet_cli.images.pixels import UnreadableImageError, decoded, open_image, orientation, pil_at_work, upright_size
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset
from cmirnet_cli.refer.registry import SPLITS


@dataclass(frozen=True)
class BadImage:
    """An image file that cannot be cached, and why; `turned` if it could be, the other way up."""

    path: Path
    reason: str
    turned: bool = False


@dataclass(frozen=True)
class CheckedImages:
    """What was found out about the images of a data set.

    Attributes:
        bad: those that cannot be cached.
        scaled: of each image of 16 bits that uses fewer, the range by which it is scaled; see `images.depth`.
    """

    bad: tuple[BadImage, ...] = ()
    scaled: Mapping[Path, Range] = field(default_factory=dict)

    @property
    def bad_files(self) -> frozenset[Path]:
        """The files of the bad images."""
        return frozenset(image.path for image in self.bad)


ALL_GOOD = CheckedImages()
"""No image is bad, and none is scaled."""


def check_images(dataset: ReferDataset, workers: int = 0, advance: Callable[[int], None] = lambda images: None) -> CheckedImages:
    """Read every image file once: missing, truncated, undecodable, or of another size than its annotations say.

    Args:
        dataset: what is to be cached.
        workers: threads that read; 0 reads in this one.
        advance: called with the number of images done since the last call; `len(dataset.images)` in all.
    """
    _names.cache_clear()
    bad, scaled = list[BadImage](), dict[Path, Range]()
    for image, found in zip(dataset.images, in_order(_checked, dataset.images, workers), strict=True):
        if isinstance(found, BadImage):
            bad.append(found if dataset.name not in SPLITS else replace(found, turned=False))  # whose way up is known
        elif found:
            scaled[image.path] = found
        advance(1)
    return CheckedImages(tuple(bad), scaled)


def require_good_images(bad: Sequence[BadImage]) -> None:
    """Refuse to begin with bad images.

    Raises:
        ImageError: there are some; names every one of them.
    """
    if bad:
        listed = "\n".join(f"  {image.path}: {image.reason}" for image in bad)
        turn = "turn these files upright, or use --upright"
        hint = f"{turn if any(image.turned for image in bad) else 'replace or correct these files'}, or leave them out with --skip-bad"
        raise ImageError(f"{len(bad)} {'image' if len(bad) == 1 else 'images'} cannot be used:\n{listed}", hint=hint)


def without(dataset: ReferDataset, skip: frozenset[Path]) -> ReferDataset:
    """The data set less every referent whose image file is in `skip`.

    Raises:
        DataError: nothing is left.
    """
    kept = tuple(referent for referent in dataset.referents if referent.image.path not in skip)
    if not kept:
        raise DataError(f"{dataset.name} has no referent to cache", hint="check the annotation file and the images that were left out")
    return replace(dataset, referents=kept)


def _missing(path: Path) -> str:
    twin = _names(path.parent).get(path.name.casefold())
    return f"missing; there is {twin}, whose name differs only in case" if twin else "missing"


@lru_cache(maxsize=8)
def _names(folder: Path) -> dict[str, str]:
    """The names in a folder, without their case → as they are; none where it cannot be looked into."""
    try:
        return {path.name.casefold(): path.name for path in folder.iterdir()}
    except OSError:
        return {}


def _checked(image: ImageRecord) -> BadImage | Range | None:
    """What is wrong with an image; else the range by which it is scaled, if it is."""
    try:
        if not image.path.is_file():
            return BadImage(image.path, _missing(image.path))
        with open_image(image.path) as picture:
            size, other = (upright_size(picture), picture.size) if image.upright else (picture.size, upright_size(picture))
            drawn_on = image.width, image.height
            if size != drawn_on:
                why = f"; its EXIF orientation, {orientation(picture)}, turns it" if other == drawn_on else ""
                reason = f"is {size[0]}×{size[1]}, but its annotations were drawn on {image.width}×{image.height}{why}"
                return BadImage(image.path, reason, turned=other == drawn_on and not image.upright)
            with pil_at_work():
                picture.draft("RGB", (1, 1))  # a JPEG is read to its end either way, and at an eighth of the size three times as fast
            return decoded(picture, image.path, upright=image.upright).scaled_by
    except (OSError, UnreadableImageError) as error:
        return BadImage(image.path, f"cannot be decoded: {error}")
