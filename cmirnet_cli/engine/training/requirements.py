"""What must be true before a run starts, or goes on: the cache has what the recipe needs, and nothing was changed on the way.

Light: imports no torch.
"""

from __future__ import annotations

from pathlib import Path

from cmirnet_cli.cache.features import TextFeatures
from cmirnet_cli.cache.folder import require_prepared_for
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import Manifest
from cmirnet_cli.config import ModelConfig, Settings
from cmirnet_cli.errors import ConfigError, DataError

TRAIN_SPLIT, VALIDATION_SPLIT = "train", "val"

FREE_TO_DIFFER = {"drop_path"}
"""Settings of the model that say how it is trained rather than what it computes."""

FREE_TO_CHANGE = frozenset({"data.cache", "data.workers", "loop.checkpoint_every", "loop.track", "loop.tensorboard"})
"""Settings that no number of a run depends on."""


def require_prepared(folder: Path, manifest: Manifest, settings: Settings) -> None:
    """Refuse a cache without a split to train on or one to validate on, and a decoded one without the sizes that the recipe needs.

    Raises:
        DataError: a split or a size is missing.
    """
    missing = [split for split in (TRAIN_SPLIT, VALIDATION_SPLIT) if split not in manifest.counts]
    if missing:
        raise DataError(f"the cache has no split {missing[0]!r}, only {', '.join(manifest.counts)}", hint="training needs train and val")
    require_prepared_for(folder, manifest, splits=(), sizes=settings.data.sizes)


def require_batches(items: int, settings: Settings, processes: int) -> None:
    """Refuse batches that the processes cannot share.

    Raises:
        ConfigError: a whole batch cannot be cut evenly, or the last one leaves a process without a sample that batch norm needs from all.
    """
    batch, pieces = settings.loop.batch_size, settings.loop.accumulate
    if batch % (processes * pieces):
        raise ConfigError(
            f"loop.batch_size ({batch}) cannot be shared evenly by {processes} processes with loop.accumulate {pieces}",
            hint=f"use a multiple of {processes * pieces}",
        )
    last = items % batch
    if settings.loop.sync_batch_norm and 0 < last < processes:
        raise ConfigError(
            f"the last of an epoch's batches has {last} of {items} samples, and {processes} processes cannot share its batch norm",
            hint="leave --sync-bn out, or use another --batch-size",
        )


def require_same_model(source: str, theirs: ModelConfig, ours: ModelConfig) -> None:
    """Refuse to start from weights of another model than the settings describe.

    Raises:
        ConfigError: names every setting that differs, with both values.
    """
    free = {*FREE_TO_DIFFER, *({"text_width"} - ours.model_fields_set)}  # which then follows from their text encoder
    there, here = (model.model_dump(exclude=free) for model in (theirs, ours))
    differ = [name for name in there if there[name] != here[name]]
    if differ:
        listed = ", ".join(f"model.{name} is {there[name]} there and {here[name]} here" for name in differ)
        agree = " ".join(f"--set model.{name}={there[name]}" for name in differ)
        raise ConfigError(f"the weights at {source} are of another model: {listed}", hint=f"use {agree}, or other weights")


def require_same_settings(begun: Settings, now: Settings) -> None:
    """Refuse to continue with other settings than a run was begun with; it may grow, and what no number depends on may change.

    Raises:
        ConfigError: names every setting that differs, with both values.
    """
    before, after = (
        {f"{section}.{key}": value for section, values in each.model_dump().items() for key, value in values.items()}
        for each in (begun, now)
    )
    free = {*FREE_TO_CHANGE, *(["schedule.epochs"] if now.schedule.epochs > begun.schedule.epochs else [])}
    free |= {"loop.precision"} if now.loop.precision == "auto" else set()  # what it stands for is compared once the device is known
    changed = [name for name in before if before[name] != after[name] and name not in free]
    if changed:
        listed = ", ".join(f"{name} was {before[name]}, now {after[name]}" for name in changed)
        raise ConfigError(
            f"cannot resume with changed settings: {listed}",
            hint="leave them as they were (--epochs may grow), or start a new run with --init-from",
        )


def require_same_data(begun: str, folder: Path, manifest: Manifest) -> None:
    """Refuse to continue with other data.

    Raises:
        DataError: the fingerprints differ.
    """
    now = manifest.fingerprint.key
    if begun != now:
        raise DataError(
            f"the run was started with data of fingerprint {begun[:12]}, {folder} has {now[:12]}",
            hint="prepare the same data again, or start a new run with --init-from",
        )


def require_same_features(begun: str | None, features: TextFeatures | None, cache: Cache) -> None:
    """Refuse to continue with other text features than those of the sha256 `begun`, where a run was begun with any.

    Raises:
        DataError: they are gone, or are others now.
    """
    if begun is not None and (features is None or features.manifest.digest != begun):
        now = "has none of its text encoder" if features is None else f"has {features.manifest.digest[:12]}"
        raise DataError(
            f"the run was started with text features of sha256 {begun[:12]}, {cache.folder} {now}",
            hint="restore the text features the run started with, or start a new run with --init-from",
        )


def require_same_processes(begun: int, now: int) -> None:
    """Refuse to continue with another number of processes: each has random numbers and batches of its own.

    Raises:
        ConfigError: the numbers differ.
    """
    if begun != now:
        hint = f"start {begun} processes in all, e.g. torchrun --nproc-per-node {begun} on one machine; or a new run with --init-from"
        raise ConfigError(f"the run was started with {begun} processes and cannot continue with {now}", hint=hint)
