"""Going on with a run that was stopped, killed, or is to become longer."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.training.checkpoint_folders import newest_checkpoint
from cmirnet_cli.engine.training.checkpoints import read_state
from cmirnet_cli.engine.training.frozen_text import features_to_go_on_with
from cmirnet_cli.engine.training.loop import Trainer
from cmirnet_cli.engine.training.requirements import require_same_data, require_same_settings
from cmirnet_cli.engine.training.run_directory import RunDirectory
from cmirnet_cli.engine.training.start import resumed_bundle, starting_bundle
from cmirnet_cli.weights.bundle import Bundle


def resumed_trainer(
    directory: RunDirectory, settings: Settings, cache: Cache, device: torch.device, notice: Callable[[str], None] = lambda line: None
) -> Trainer:
    """The trainer of a run, where its newest checkpoint left it; at the beginning where there is none yet.

    Nothing is written: `directory.rewind` is for the one that goes on.

    Raises:
        ConfigError: a setting or the number of processes differs.
        DataError: the data differ.
        WeightsError: the checkpoint is damaged.
    """
    require_same_settings(directory.settings(), settings)
    require_same_data(directory.data, cache)
    checkpoint = newest_checkpoint(directory.checkpoints)
    if checkpoint is None:
        notice(f"{directory.folder} has no checkpoint yet: starting from the beginning")
        return _trainer(directory, starting_bundle(settings, cache, notice), settings, cache, device, notice)
    trainer = _trainer(directory, resumed_bundle(settings, checkpoint), settings, cache, device, notice)
    trainer.resume(read_state(checkpoint))
    if device.type == "cpu" and directory.threads != torch.get_num_threads():
        now = torch.get_num_threads()
        notice(f"the run was begun with {directory.threads} threads on the CPU and goes on with {now}: numbers agree up to rounding")
    notice(f"going on after step {trainer.steps_taken} of {trainer.steps_total}")
    return trainer


def _trainer(
    directory: RunDirectory, bundle: Bundle, settings: Settings, cache: Cache, device: torch.device, notice: Callable[[str], None]
) -> Trainer:
    features = features_to_go_on_with(directory.text_features, bundle, settings, cache, notice)
    return Trainer(bundle, settings, cache, device, features)
