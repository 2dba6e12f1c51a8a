"""Whether prepared caches look whole, without reading what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cmirnet_cli.cache.features import all_features, holds_features, require_fitting
from cmirnet_cli.cache.find import prepared_caches
from cmirnet_cli.cache.folder import read_manifest, require_files
from cmirnet_cli.cache.remedies import features_command, prepare_command
from cmirnet_cli.cache.schema import ANNOTATIONS, MANIFEST, CacheOptions
from cmirnet_cli.cache.staging import finished_name, is_temporary
from cmirnet_cli.findings import Finding, examined
from cmirnet_cli.refer.registry import published_counts


def room_for_refcoco() -> float:
    """GiB that the pixels of RefCOCO take in a decoded store at the network's usual size."""
    _, images, _ = published_counts("refcoco", "unc")["total"].known
    (side,) = CacheOptions().sizes
    return images * 3 * side**2 / (1 << 30)


def cache_findings(root: Path) -> Iterator[Finding]:
    """One finding for each cache at `root` or right below it, and for each, or its text features, that was begun and not finished."""
    folders = [root] if (root / MANIFEST).is_file() else sorted({*prepared_caches(root), *_without_manifest(root)})
    for folder in folders:
        yield from examined(str(folder), _whole, folder)
    for place in dict.fromkeys([root, *folders]):
        yield from (_leftover(path) for path in sorted(place.glob("*")) if is_temporary(path) and path.is_dir())


def _without_manifest(root: Path) -> list[Path]:
    return [path.parent for path in root.glob(f"*/{ANNOTATIONS}") if not is_temporary(path.parent)]


def _whole(folder: Path) -> Iterator[Finding]:
    """A cache whose manifest is in order and whose files have the right length, its text features' too.

    Raises:
        CacheError: something is missing or damaged.
    """
    manifest, features = read_manifest(folder), all_features(folder)
    require_files(folder, manifest)
    for each in features:
        require_fitting(folder, manifest.fingerprint.key, each)
    counts = ", ".join(f"{split} {count.refs:,}" for split, count in manifest.counts.items())
    message = f"referents: {counts}; {len(manifest.files) + len(features)} files of the right length"
    yield Finding("ok", str(folder), f"{message} (every byte is read by: cmirnet cache verify {folder})")


def _leftover(folder: Path) -> Finding:
    what, target = "text features" if holds_features(folder) else "a cache", finished_name(folder)
    if target is None:
        return Finding("note", str(folder), f"what is left of {what} that made way for newer", "delete that folder")
    command = features_command(target.parent) if holds_features(folder) else prepare_command(target)
    advice = f"if nothing is writing there, go on with: {command}, or delete that folder"
    return Finding("note", str(folder), f"{what}, begun and not finished", advice)
