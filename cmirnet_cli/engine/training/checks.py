"""What is wrong with a run and can be seen before torch is loaded, before anything is downloaded and before a minute is spent.

Light: imports no torch.
"""

from __future__ import annotations

import os
from pathlib import Path

from cmirnet_cli.cache.folder import find_cache, read_manifest
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.training.requirements import (
    TRAIN_SPLIT,
    require_batches,
    require_prepared,
    require_same_data,
    require_same_model,
    require_same_settings,
)
from cmirnet_cli.engine.training.run_directory import RunDirectory, require_new
from cmirnet_cli.engine.training.tracking import require_trackers
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.check import BACKBONE_STARTS, check_start


def check_run(settings: Settings, run_dir: Path | None = None, resume: RunDirectory | None = None) -> None:
    """Refuse a run that cannot begin, or go on.

    Args:
        settings: the whole recipe, the data set included.
        run_dir: where a new run is to be kept; None: a folder that does not exist yet.
        resume: the run to resume.

    Raises:
        ConfigError: the settings contradict the weights, the number of processes or the run to resume.
        DataError: there is no such cache, or it lacks a split or a size.
        WeightsError: what the run starts from is nowhere, or the run to resume has lost its checkpoint or its best weights.
        UsageError: the run directory is taken, or a tracker is not installed.
    """
    require_trackers(settings.loop.trackers)
    if resume is None and run_dir is not None:
        require_new(run_dir)
    folder = find_cache(settings.data.cache, settings.data.dataset, settings.data.split_by, settings.data.sizes)
    manifest = read_manifest(folder)
    require_prepared(folder, manifest, settings)
    counts = manifest.counts[TRAIN_SPLIT]
    items = counts.refs if settings.data.sample == "referent" else counts.sentences
    require_batches(items, settings, int(os.environ.get("WORLD_SIZE", "1")))
    if resume is None:
        _check_start(settings)
    else:
        require_same_settings(resume.settings(), settings)
        require_same_data(resume.data, folder, manifest)
        resume.require_kept()


def _check_start(settings: Settings) -> None:
    """Refuse weights that are nowhere, and weights of another model."""
    loop, file = settings.loop, Path(settings.loop.backbone_weights).expanduser()
    if not loop.init_from and loop.backbone_weights not in ("imagenet", "none") and not file.is_file():
        problem = "it is a folder" if file.is_dir() else "there is no such file"
        raise WeightsError(
            f"unknown starting point {loop.backbone_weights!r} for the backbone: {problem}",
            hint=BACKBONE_STARTS,
        )
    if (known := check_start(settings)) and loop.init_from:
        require_same_model(loop.init_from, known.model, settings.model)
