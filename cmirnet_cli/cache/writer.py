"""From a data set and the user's choices to the files of a cache, one by one in the folder beside it (`staging`).

What a killed run began there is continued.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cmirnet_cli.cache.annotations import Table
from cmirnet_cli.cache.check_images import ALL_GOOD, CheckedImages, without
from cmirnet_cli.cache.counts import counts_per_split
from cmirnet_cli.cache.drawing import DrawnMasks, draw_masks
from cmirnet_cli.cache.estimate import IMAGE_BYTES, estimate, shards_of
from cmirnet_cli.cache.fingerprint import fingerprint_of
from cmirnet_cli.cache.folder import read_manifest, require_whole
from cmirnet_cli.cache.hdf5 import create
from cmirnet_cli.cache.schema import ANNOTATIONS, MANIFEST, CachedFile, CacheOptions, Fingerprint, Manifest, shard_name
from cmirnet_cli.cache.staging import install, record, recorded, sole_writer, staging_folder, tidy, unfinished
from cmirnet_cli.cache.stores import store_of
from cmirnet_cli.cache.workers import in_order
from cmirnet_cli.errors import CacheError
from cmirnet_cli.files import new_file, sweep
from cmirnet_cli.files.checks import require_room
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset


def steps(dataset: ReferDataset) -> int:
    """How much `write_cache` advances in all: one for each referent and each image."""
    return len(dataset.referents) + len(dataset.images)


def _require_all_drawn(masks: DrawnMasks) -> None:
    if masks.faults:
        raise masks.faults[0]


def write_cache(
    dataset: ReferDataset,
    folder: Path,
    options: CacheOptions,
    *,
    workers: int = 0,
    checked: CheckedImages = ALL_GOOD,
    overwrite: bool = False,
    advance: Callable[[int], None] = lambda done: None,
    notice: Callable[[str], None] = lambda message: None,
    check: Callable[[DrawnMasks], None] = _require_all_drawn,
) -> Manifest:
    """Write the cache, or finish one that was broken off; a complete one of the same fingerprint is left as it is.

    The same data and options give the same bytes, however often the writer was killed. `folder` appears when it is complete.

    Args:
        dataset: what to cache; at least one referent.
        folder: the cache folder, `<out>/<dataset>-<split_by>`.
        options: store, sizes, overlap rule.
        workers: threads that read and resize images, and processes that draw many masks; 0: this one does it all.
        checked: what `check_images` found; `dataset` no longer has the bad images.
        overwrite: replace whatever cache `folder` holds, once the new one is complete.
        advance: called with the number of steps done since the last call; see `steps`.
        notice: called with each line for the user (waiting, going on).
        check: called with the drawn masks before anything is written; raises where they are not to be cached. What cannot be drawn is
            left out if it does not.

    Raises:
        CacheError: another cache stands there, there is no room, or a file cannot be written.
        ImageError: an image cannot be read.
        AnnotationError: a mask cannot be drawn.
    """
    fingerprint = fingerprint_of(dataset, options, checked)
    if not overwrite and (manifest := _finished(folder, fingerprint)):
        advance(steps(dataset))
        return manifest
    _refuse_foreign(folder)
    staging = staging_folder(folder, fingerprint.key)
    room = estimate(dataset, options) - _bytes_in(staging)
    require_room(folder.parent, room, CacheError, "free some space, choose another --out, fewer --size, or --store encoded")
    masks = draw_masks(dataset, options, advance, workers)
    check(masks)
    drawn = without(replace(dataset, referents=masks.referents), frozenset())
    work = _Work(drawn, options, fingerprint, masks, workers, advance)
    advance(len(dataset.images) - len(drawn.images))
    with sole_writer(staging, notice) as alone:
        if not overwrite and (manifest := _finished(folder, fingerprint)):
            advance(len(drawn.images))
            return manifest
        _refuse_foreign(folder)
        if alone:
            sweep(staging)
        if any(staging.iterdir()):
            notice(f"continuing {staging}, which an earlier run started")
        manifest = _fill(staging, work)
        install(staging, folder, overwrite)
    for other in unfinished(folder):
        notice(f"{other} holds an unfinished cache of other data or options; delete it if you do not need it")
    return manifest


@dataclass(frozen=True)
class _Work:
    """What every step of one run needs."""

    dataset: ReferDataset
    options: CacheOptions
    fingerprint: Fingerprint
    masks: DrawnMasks
    workers: int
    advance: Callable[[int], None]


def _bytes_in(folder: Path) -> int:
    """What the files of a folder take; another process may be making or removing them, or the folder."""
    size = 0
    with suppress(OSError):
        for path in folder.iterdir():
            size += path.stat().st_size
    return size


def _finished(folder: Path, fingerprint: Fingerprint) -> Manifest | None:
    """The manifest of a complete cache of the same fingerprint; None if nothing stands there; CacheError for anything else."""
    _refuse_foreign(folder)
    if not (folder / MANIFEST).is_file():
        return None
    manifest = read_manifest(folder)
    if differences := manifest.fingerprint.differences(fingerprint):
        hint = "use it as it is, choose another --out, or replace it with --overwrite"
        raise CacheError(f"{folder} holds another cache: {'; '.join(differences)}", hint=hint)
    require_whole(folder, manifest.files)
    tidy(folder)
    return manifest


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not (folder / MANIFEST).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise CacheError(f"{folder} exists and is not a cache (it has no {MANIFEST})", hint="choose another folder with --out")


def _fill(staging: Path, work: _Work) -> Manifest:
    """Write every file that is not there yet, the manifest last; an earlier run's does not stand beside what is still being written."""
    (staging / MANIFEST).unlink(missing_ok=True)
    manifest = Manifest(
        fingerprint=work.fingerprint,
        annotations=_annotations(staging / ANNOTATIONS, work),
        shards=tuple(_shard(staging / shard_name(number), images, work) for number, images in enumerate(shards_of(work.dataset.images))),
        counts=counts_per_split(work.dataset),
        audit=work.masks.audit,
    )
    with new_file(staging / MANIFEST, CacheError) as path:
        path.write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _annotations(path: Path, work: _Work) -> CachedFile:
    if (digest := recorded(path)) is None:
        table, columns = Table.of(work.dataset), work.masks.columns
        with create(path, work.fingerprint.key, table.nbytes + sum(column.nbytes for column in columns.values())) as file:
            table.save(file)
            for name, column in columns.items():
                column.save(file, name)
        digest = record(path)
    return CachedFile(path.name, digest, path.stat().st_size, 0)


def _shard(path: Path, images: Sequence[ImageRecord], work: _Work) -> CachedFile:
    if (digest := recorded(path)) is None:
        store = store_of(work.options)
        content = sum(store.estimate(image) + IMAGE_BYTES for image in images)
        with create(path, work.fingerprint.key, content) as file:
            store.create(file, images)
            for row, arrays in enumerate(in_order(store.prepare, images, work.workers)):
                store.put(file, row, arrays)
                work.advance(1)
        digest = record(path)
    else:
        work.advance(len(images))
    return CachedFile(path.name, digest, path.stat().st_size, len(images))
