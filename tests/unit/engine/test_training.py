"""Short training runs on a small cache: what they write, what they change, what they refuse."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.run_directory import EpochReport, RunDirectory, StepReport
from cmirnet_cli.engine.start import starting_bundle
from cmirnet_cli.engine.training import Trainer
from cmirnet_cli.errors import CmirnetError, DataError, UsageError
from cmirnet_cli.model.segmenter import ReferringModel
from cmirnet_cli.weights.bundle import load_bundle

RECIPE = {
    "model": {"backbone": "resnet-nano", "fusion_width": 32, "text_width": 24},
    "text": {"source": "scratch", "scratch_layers": 3},
    "data": {"image_size": 64, "resize": 72, "workers": 0},
    "optimizer": {"lr": 1e-3},
    "schedule": {"epochs": 2},
    "loop": {"batch_size": 2, "backbone_weights": "none", "precision": "fp32"},
}


def settings(**changes: dict[str, object]) -> Settings:
    return Settings.model_validate(RECIPE | {name: RECIPE.get(name, {}) | values for name, values in changes.items()})


def trainer(cache: Cache, chosen: Settings) -> Trainer:
    return Trainer(starting_bundle(chosen, cache), chosen, cache, torch.device("cpu"))


class Notes:
    """Listens and remembers."""

    def __init__(self) -> None:
        self.steps: list[StepReport] = []
        self.epochs: list[EpochReport] = []

    def step(self, report: StepReport) -> None:
        self.steps.append(report)

    def epoch(self, report: EpochReport) -> None:
        self.epochs.append(report)


def weights_of(model: ReferringModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_run_writes_one_line_for_each_step_and_epoch_and_tells_its_listener_the_same(small_cache: Cache, tmp_path: Path):
    chosen, notes = settings(), Notes()
    directory = RunDirectory.create(tmp_path / "run", chosen, "abc")
    history = trainer(small_cache, chosen).run(directory, notes)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [StepReport(**{k: v for k, v in line.items() if k != "kind"}) for line in lines if line["kind"] == "step"]
    assert steps == notes.steps
    assert [(step.epoch, step.step) for step in steps] == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6)]
    assert history == notes.epochs
    assert [epoch.loss for epoch in history] == [pytest.approx(math.fsum(s.loss for s in steps if s.epoch == e) / 3) for e in (1, 2)]


def test_last_weights_are_the_trained_model(small_cache: Cache, tmp_path: Path):
    chosen = settings(schedule={"epochs": 1})
    trained = trainer(small_cache, chosen)
    trained.run(RunDirectory.create(tmp_path / "run", chosen, "abc"), Notes())
    saved = weights_of(load_bundle(tmp_path / "run" / "weights" / "last").model)
    assert all(torch.equal(value, saved[name]) for name, value in weights_of(trained.bundle.model).items())
    assert (tmp_path / "run" / "weights" / "best" / "model.safetensors").is_file()


def test_same_seed_trains_the_same_model_and_another_seed_another(small_cache: Cache):
    losses = [trainer(small_cache, settings(loop={"seed": seed})).try_one_step().loss for seed in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]


def test_step_trains_the_whole_network_with_its_batch_norms_and_the_published_part_of_the_text_encoder(small_cache: Cache):
    trained = trainer(small_cache, settings())
    before = weights_of(trained.bundle.model)
    trained.try_one_step()
    after = weights_of(trained.bundle.model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    text = {name for name in changed if name.startswith("text.")}
    assert {name.split("layer.")[1][0] for name in text} == {"0"}
    kernels = {name for name, value in before.items() if name.startswith("network.") and value.ndim > 1}
    assert kernels | {name for name in before if name.endswith("running_mean")} <= changed


def test_loss_that_is_no_number_stops_the_run_and_names_the_sentences(small_cache: Cache):
    broken = trainer(small_cache, settings())
    torch.nn.init.constant_(broken.bundle.model.network.heads[-1].bias, math.nan)
    with pytest.raises(CmirnetError, match=r"the loss is nan on the batch with the sentences \d+, \d+$"):
        broken.try_one_step()


def test_half_precision_without_a_gpu_is_refused(small_cache: Cache):
    with pytest.raises(UsageError, match="fp16 needs a CUDA device, not cpu"):
        trainer(small_cache, settings(loop={"precision": "fp16"}))


def test_bfloat16_trains_on_a_cpu(small_cache: Cache):
    exact = trainer(small_cache, settings()).try_one_step().loss
    assert trainer(small_cache, settings(loop={"precision": "bf16"})).try_one_step().loss == pytest.approx(exact, rel=0.05)


def test_split_smaller_than_a_batch_is_refused_with_both_numbers(small_cache: Cache):
    with pytest.raises(DataError, match="6 referents, fewer than one batch of 7"):
        trainer(small_cache, settings(loop={"batch_size": 7}))


def test_size_the_cache_was_not_prepared_for_is_refused_with_the_command_that_prepares_it(small_cache: Cache):
    with pytest.raises(DataError, match="holds 64, 72 px; the recipe also needs 96 px") as caught:
        trainer(small_cache, settings(data={"image_size": 64, "resize": 96}))
    assert "--size 64 --size 96" in caught.value.hint
