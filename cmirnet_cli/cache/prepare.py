"""`cmirnet.prepare`: a data set read, checked and written as a cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from cmirnet_cli.cache.audit import require_sound
from cmirnet_cli.cache.check_images import BadImage, check_images, require_good_images, without
from cmirnet_cli.cache.counts import SharedImages, shared_with_train
from cmirnet_cli.cache.drawing import DrawnMasks
from cmirnet_cli.cache.estimate import estimate
from cmirnet_cli.cache.schema import CacheOptions, Manifest, cache_name
from cmirnet_cli.cache.writer import steps, write_cache
from cmirnet_cli.images.depth import Range, scaled_in_words
from cmirnet_cli.refer.archives import unpack
from cmirnet_cli.refer.layout import Places
from cmirnet_cli.refer.own import USUAL_OPTIONS, ReadOptions
from cmirnet_cli.refer.records import SHOWN, require_no_faults
from cmirnet_cli.refer.sources import packed, read_source

MIB = 1 << 20


@dataclass(frozen=True)
class PrepareRequest:
    """Which data set to prepare, and how.

    Attributes:
        dataset: the name of a data set, a file or folder of annotations, or `hf://datasets/org/name`.
        split_by: who split it; None: its usual division.
        data: folder that data sets lie in.
        annotations: where to look for its annotations instead.
        images: where to look for its images instead.
        reading: how files that are not in REFER layout are read.
        format: the key of a reader, in place of the one that recognises the files.
        out: folder of caches; the cache becomes a folder in it.
        options: what the cache holds.
        skip_bad: whether records, outlines and images that cannot be used are left out; else they are an error.
        strict: whether any odd mask is an error; see `audit`.
        workers: threads that read images, and processes that draw many masks; 0: no others.
        overwrite: whether another cache of that name may be replaced.
    """

    dataset: str
    split_by: str | None = None
    data: Path = Path("data")
    annotations: Path | None = None
    images: Path | None = None
    reading: ReadOptions = USUAL_OPTIONS
    format: str | None = None
    out: Path = Path("cache")
    options: CacheOptions = field(default_factory=CacheOptions)
    skip_bad: bool = False
    strict: bool = False
    workers: int = 0
    overwrite: bool = False


@dataclass(frozen=True)
class PreparedCache:
    """A cache on the disk.

    Attributes:
        folder: where it is.
        manifest: what it holds.
        skipped: images that were left out, each with the reason.
        scaled: of each image of 16 bits that uses fewer, the lowest and the highest value, which became black and white.
        left_out: of each record of the annotations that was left out, why.
        shared: of each split that shares images with `train`, how many.
    """

    folder: Path
    manifest: Manifest
    skipped: tuple[BadImage, ...]
    left_out: tuple[str, ...] = ()
    scaled: Mapping[Path, Range] = field(default_factory=dict)
    shared: tuple[SharedImages, ...] = ()


def prepare(
    request: PrepareRequest,
    *,
    progress: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] = lambda what, total: nullcontext(lambda done: None),
    notice: Callable[[str], None] = lambda line: None,
    warn: Callable[[str], None] = lambda line: None,
) -> PreparedCache:
    """Read annotations and images, check them, and write the cache that training reads, as `cmirnet prepare-data` does.

    Args:
        request: which data set, and how.
        progress: opened for each stage with its name and the number of steps; what it gives is called as they are done.
        notice: called with each line for the user.
        warn: is called with every image that is left out, and with the first records.

    Raises:
        AnnotationError: the data set is missing or damaged, or its masks cannot be right.
        ImageError: images are missing or broken, and are not to be skipped.
        CacheError: another cache stands there, or the disk is too full.
    """
    places = Places(request.data, request.annotations, request.images)
    for archive in packed(request.dataset, request.split_by, places):
        notice(f"unpacking {archive.file} into {archive.target}")
        members = archive.read_members()
        with progress(f"unpack {archive.file.name}", len(members)) as advance:
            unpack(archive, members, advance)
    referents = read_source(request.dataset, request.split_by, places, request.reading, request.format, skip_bad=request.skip_bad)
    for remark in referents.remarks:
        notice(remark)
    for reason in referents.left_out[:SHOWN]:
        warn(f"left out: {reason}")
    if (more := len(referents.left_out) - SHOWN) > 0:
        warn(f"left out: {more:,} more records that cannot be read")

    with progress("check images", len(referents.images)) as advance:
        checked = check_images(referents, request.workers, advance)
    if not request.skip_bad:
        require_good_images(checked.bad)
    kept = without(referents, checked.bad_files)
    if checked.scaled:
        notice(scaled_in_words(len(checked.scaled), *next(iter(checked.scaled.items()))))
    for image in checked.bad:
        warn(f"left out: {image.path}: {image.reason}")

    def check(masks: DrawnMasks) -> None:
        if not request.skip_bad:
            require_no_faults(referents.annotation_files[0], masks.faults, "outlines")
        require_sound(masks.audit, strict=request.strict)

    folder = request.out / cache_name(referents.name, referents.split_by)
    notice(f"{folder} will take about {math.ceil(estimate(kept, request.options) / MIB):,} MiB")
    with progress("write cache", steps(kept)) as advance:
        manifest = write_cache(
            kept,
            folder,
            request.options,
            workers=request.workers,
            checked=checked,
            overwrite=request.overwrite,
            advance=advance,
            notice=notice,
            check=check,
        )
    require_sound(manifest.audit or (), strict=request.strict)  # it may have been there already, made without --strict
    return PreparedCache(folder, manifest, checked.bad, referents.left_out, checked.scaled, shared_with_train(kept))
