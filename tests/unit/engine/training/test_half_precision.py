"""fp16 with its gradient scaler, computed on a CPU: what a step does that overflows, and what a resumption restores."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmirnet_cli.batches.batch import Batch
from cmirnet_cli.batches.datasets import Collate, TrainingSet, training_batches
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.devices import make_accelerator
from cmirnet_cli.engine.training.checkpoints import Progress, TrainingState, read_state, save_checkpoint
from cmirnet_cli.engine.training.run_directory import newest_checkpoint
from cmirnet_cli.engine.training.start import starting_bundle
from cmirnet_cli.engine.training.steps import Stepper
from cmirnet_cli.weights.bundle import Bundle

SETTINGS = Settings.model_validate(
    {
        "model": {"backbone": "resnet-nano", "fusion_width": 32, "text_width": 24},
        "text": {"source": "scratch", "scratch_layers": 3},
        "data": {"image_size": 64, "resize": 72, "workers": 0},
        "loop": {"batch_size": 2, "backbone_weights": "none"},
    }
)
STEPS_PER_EPOCH = 3
OVERFLOWING, USUAL = 2.0**60, 2.0**8


def stepper(bundle: Bundle, scale: float) -> Stepper:
    """As on a GPU: accelerate makes a scaler for fp16 there, and refuses to on a CPU."""
    accelerator = make_accelerator(torch.device("cpu"))
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return Stepper(bundle.model, SETTINGS, STEPS_PER_EPOCH, accelerator)


def take_step(trained: Stepper, batch: Batch) -> torch.Tensor:
    trained.train()
    with torch.autocast("cpu", torch.float16):
        loss = trained.gradients([batch])
    trained.update()
    return loss


@pytest.fixture
def bundle(small_cache: Cache) -> Bundle:
    return starting_bundle(SETTINGS, small_cache)


@pytest.fixture
def batch(small_cache: Cache, bundle: Bundle) -> Batch:
    samples = TrainingSet(small_cache, "train", SETTINGS.data, seed=0, epoch=0)
    return next(iter(training_batches(samples, Collate(bundle.tokenizer, 20), 2)))


def weights(bundle: Bundle) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in bundle.model.named_parameters()}


def test_step_that_overflows_changes_no_weight_halves_the_scale_and_counts_for_the_schedule(bundle: Bundle, batch: Batch):
    trained, before = stepper(bundle, OVERFLOWING), weights(bundle)
    first_rate = trained.lr
    assert torch.isfinite(take_step(trained, batch))
    assert all(torch.equal(value, before[name]) for name, value in weights(bundle).items())
    assert trained.state()["scaler"]["scale"] == OVERFLOWING / 2
    assert trained.taken == 1
    assert trained.lr == pytest.approx(first_rate * (1 - SETTINGS.schedule.warm_slope / STEPS_PER_EPOCH))


def test_step_that_fits_trains_and_keeps_the_scale(bundle: Bundle, batch: Batch):
    trained, before = stepper(bundle, USUAL), weights(bundle)
    take_step(trained, batch)
    assert any(not torch.equal(value, before[name]) for name, value in weights(bundle).items())
    assert trained.state()["scaler"]["scale"] == USUAL


def test_resumption_restores_the_scale_and_the_learning_rate(bundle: Bundle, batch: Batch, tmp_path: Path):
    trained = stepper(bundle, OVERFLOWING)
    take_step(trained, batch)
    state = TrainingState(progress=Progress(), settings={}, data="", random=[], **trained.state())
    save_checkpoint(tmp_path, bundle, state)
    resumed = stepper(bundle, USUAL)
    resumed.restore(read_state(newest_checkpoint(tmp_path)))
    assert resumed.state()["scaler"] == trained.state()["scaler"]
    assert (resumed.taken, resumed.lr) == (1, trained.lr)
