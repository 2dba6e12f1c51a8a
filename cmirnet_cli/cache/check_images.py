"""Which images cannot be cached, found before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from cmirnet_cli.cache.threads import in_order
from cmirnet_cli.errors import DataError, ImageError
from cmirnet_cli.images.pixels import UnreadableImageError, as_rgb, open_image, orientation, pil_at_work, upright_size
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset
from cmirnet_cli.refer.registry import SPLITS


@dataclass(frozen=True)
class BadImage:
    """An image file that cannot be cached, and why; `turned` if it could be, the other way up."""

    path: Path
    reason: str
    turned: bool = False


def check_images(dataset: ReferDataset, workers: int = 0, advance: Callable[[int], None] = lambda images: None) -> list[BadImage]:
    """Read every image file once: missing, truncated, undecodable, or of another size than its annotations say.

    Args:
        dataset: what is to be cached.
        workers: threads that read; 0 reads in this one.
        advance: called with the number of images done since the last call; `len(dataset.images)` in all.
    """
    _names.cache_clear()
    bad = []
    for defect in in_order(_defect, dataset.images, workers):
        if defect is not None:
            bad.append(defect if dataset.name not in SPLITS else replace(defect, turned=False))  # whose way up is known
        advance(1)
    return bad


def require_good_images(bad: Sequence[BadImage], *, skip: bool) -> frozenset[Path]:
    """The files to leave out, or the refusal to begin.

    Raises:
        ImageError: there are bad images and they are not to be skipped; names every one of them.
    """
    if bad and not skip:
        listed = "\n".join(f"  {image.path}: {image.reason}" for image in bad)
        turn = "turn these files as people see them, or take them so with --upright"
        hint = f"{turn if any(image.turned for image in bad) else 'replace or correct these files'}, or leave them out with --skip-bad"
        raise ImageError(f"{len(bad)} {'image' if len(bad) == 1 else 'images'} cannot be used:\n{listed}", hint=hint)
    return frozenset(image.path for image in bad)


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
    return f"missing; {twin}, which is there, differs in case only" if twin else "missing"


@lru_cache(maxsize=8)
def _names(folder: Path) -> dict[str, str]:
    """The names in a folder, without their case → as they are; none where it cannot be looked into."""
    try:
        return {path.name.casefold(): path.name for path in folder.iterdir()}
    except OSError:
        return {}


def _defect(image: ImageRecord) -> BadImage | None:
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
            as_rgb(picture, upright=image.upright)
    except (OSError, UnreadableImageError) as error:
        return BadImage(image.path, f"cannot be decoded: {error}")
    return None
