"""Data sets, caches and runs: which there are, and whether they look whole, without reading all that they hold."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cmirnet_cli.cache.features import all_features, holds_features, require_fitting
from cmirnet_cli.cache.folder import features_command, prepare_command, prepared_caches, read_manifest, require_files
from cmirnet_cli.cache.schema import ANNOTATIONS, MANIFEST, CacheOptions
from cmirnet_cli.cache.staging import finished_name, is_temporary
from cmirnet_cli.doctor.findings import Finding, findings_of
from cmirnet_cli.engine.training.run_directory import (
    BAD_BATCH,
    CONFIG,
    METRICS,
    STATE_FILE,
    RunDirectory,
    after_divergence,
    newest_checkpoint,
)
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.refer.archives import find_archives
from cmirnet_cli.refer.layout import REFS, Places, find_layout, find_photographs, find_refs, refs_in
from cmirnet_cli.refer.registry import SPLITS, published_counts
from cmirnet_cli.refer.sources import COMBINED
from cmirnet_cli.weights.folder import require_plausible


def data_findings(data_root: Path) -> Iterator[Finding]:
    """What there is of every known data set, and of one's own in REFER layout; what is missing altogether is one finding."""
    places = Places(data_root)
    known = [(dataset, by) for dataset, divisions in SPLITS.items() if dataset != COMBINED for by in divisions]
    present = [pair for pair in known if find_refs(*pair, places)]
    packed = {pair: archives for pair in known if (archives := _packed(*pair, places, needs_annotations=pair not in present))}
    named = [(folder.name, REFS.fullmatch(file.name)) for folder in sorted(data_root.glob("*")) for file in refs_in(folder)]
    own = dict.fromkeys((folder, name["split_by"]) for folder, name in named if name)
    for dataset, by in [*present, *(pair for pair in own if pair not in known)]:
        if (dataset, by) not in packed:
            yield from findings_of(f"{dataset} ({by})", _unpacked, dataset, by, places)
    for (dataset, by), archives in packed.items():
        advice = f"to unpack: cmirnet prepare-data {dataset} --split-by {by}"
        yield Finding("note", f"{dataset} ({by})", f"{archives} not unpacked yet", advice)
    missing = [f"{dataset} ({by})" for dataset, by in known if (dataset, by) not in [*present, *packed]]
    if missing:
        advice = "to see which places are searched and what is missing: cmirnet prepare-data NAME --split-by BY"
        yield Finding("note", str(data_root), f"no annotations of {', '.join(missing)}", advice)


def _packed(dataset: str, split_by: str, places: Places, *, needs_annotations: bool) -> str:
    """The archives that will be unpacked for a data set, if any; photographs alone do not count."""
    archives = find_archives(dataset, split_by, places)
    if needs_annotations and not any(archive.kind == "annotations" for archive in archives):
        return ""
    return " and ".join(str(archive.file) for archive in archives)


def _unpacked(dataset: str, split_by: str, places: Places) -> Iterator[Finding]:
    """One data set whose refs are there. Raises what `find_layout` does where something else is missing."""
    subject, layout = f"{dataset} ({split_by})", find_layout(dataset, split_by, places)
    photographs = find_photographs(dataset, layout.image_folders)
    if photographs is None:
        folders = ", ".join(map(str, layout.image_folders))
        message = f"annotations in {layout.refs.parent}, but no photographs in {folders}"
        yield Finding("warning", subject, message, "put the photographs there, or say where they are with --images DIR")
    else:
        yield Finding("ok", subject, f"annotations in {layout.refs.parent}, photographs in {photographs}")


def room_for_refcoco() -> float:
    """GiB that the pixels of RefCOCO take in a decoded store at the network's usual size."""
    _, images, _ = published_counts("refcoco", "unc")["total"].known
    (side,) = CacheOptions().sizes
    return images * 3 * side**2 / (1 << 30)


def cache_findings(root: Path) -> Iterator[Finding]:
    """One finding for each cache at `root` or right below it, and for each, or its text features, that was started but not finished."""
    if (root / MANIFEST).is_file():
        folders = [root]
    else:
        without_manifest = (path.parent for path in root.glob(f"*/{ANNOTATIONS}") if not is_temporary(path.parent))
        folders = sorted({*prepared_caches(root), *without_manifest})
    for folder in folders:
        yield from findings_of(str(folder), _cache, folder)
    for place in dict.fromkeys([root, *folders]):
        yield from (_leftover(path) for path in sorted(place.glob("*")) if is_temporary(path) and path.is_dir())


def _cache(folder: Path) -> Iterator[Finding]:
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
    of_features, target = holds_features(folder), finished_name(folder)
    what = "text features" if of_features else "a cache"
    if target is None:
        return Finding("note", str(folder), f"left over from {what} that newer files replaced", "delete that folder")
    command = features_command(target.parent) if of_features else prepare_command(target)
    advice = f"if nothing is writing there, continue with: {command}, or delete that folder"
    return Finding("note", str(folder), f"{what}, started but not finished", advice)


def run_findings(root: Path) -> Iterator[Finding]:
    """Findings about each run at `root` or right below it: how far it came, its weights and its checkpoint."""
    folders = [root] if (root / CONFIG).is_file() else [path.parent for path in sorted(root.glob(f"*/{CONFIG}"))]
    for folder in folders:
        yield from findings_of(str(folder), _progress, folder)
        saved = [folder / "weights" / name for name in ("best", "last")]
        for weights in filter(Path.is_dir, saved):
            yield from findings_of(str(weights), _weights, weights)
        if checkpoint := newest_checkpoint(folder / "checkpoints"):
            yield from findings_of(str(checkpoint), _weights, checkpoint, STATE_FILE)


def _progress(folder: Path) -> Iterator[Finding]:
    """How many epochs are done.

    Raises:
        CmirnetError: a file that a resumption needs is missing or damaged.
    """
    run = RunDirectory.open(folder)
    settings, epochs = run.settings(), run.epochs()
    begun = f"started with data of fingerprint {run.data[:12]} and {run.threads} threads"  # read in any case: a resumption needs it
    done = f"{len(epochs)} of {settings.schedule.epochs} epochs done"
    best = [report for report in epochs if report.best and report.overall_iou is not None]
    if best:
        done += f", best overall IoU {best[-1].overall_iou:.2f} after epoch {best[-1].epoch}"
    if len(epochs) >= settings.schedule.epochs:
        yield Finding("ok", str(folder), done)
    elif (folder / BAD_BATCH).is_file():
        advice = f"see {folder / BAD_BATCH}; {after_divergence(settings, folder)}"
        yield Finding("warning", str(folder), f"{done}; training diverged: the loss is NaN or infinite", advice)
    else:
        metrics, last = folder / METRICS, "no step was reported"
        if metrics.is_file():
            last = f"its last report is from {datetime.fromtimestamp(metrics.stat().st_mtime):%Y-%m-%d %H:%M}"
        advice = f"unless it is still running, continue with: cmirnet train --resume {folder}"
        yield Finding("note", str(folder), f"{done}; {begun}; {last}", advice)


def _weights(folder: Path, state: str | None = None) -> Iterator[Finding]:
    """Weights, or with the name of a state file a checkpoint, that look whole.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    require_plausible(folder)
    if state and not ((folder / state).is_file() and zipfile.is_zipfile(folder / state)):
        hint = "delete that checkpoint: cmirnet train --resume then starts from the beginning"
        raise WeightsError(f"{folder / state} is missing or cut short", hint=hint)
    yield Finding("ok", str(folder), "files look complete")
