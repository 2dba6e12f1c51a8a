"""Short training runs on a small cache: what they write, what they change, what they refuse."""

from __future__ import annotations

import json
import math
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.training.callbacks import EpochReport, StepReport
from cmirnet_cli.engine.training.dry_run import dry_run
from cmirnet_cli.engine.training.loop import Trainer
from cmirnet_cli.engine.training.requirements import require_batches
from cmirnet_cli.engine.training.run_directory import RunDirectory
from cmirnet_cli.engine.training.start import starting_bundle
from cmirnet_cli.errors import CmirnetError, ConfigError, DataError, DivergedError, UsageError
from cmirnet_cli.model.referring import ReferringModel
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


@pytest.mark.slow
def test_network_is_compiled_where_that_is_asked_for(small_cache: Cache):
    """Up to its first step, which is what compiles it."""
    runner = trainer(small_cache, settings(loop={"compile": True}))
    image = torch.zeros(1, 3, 64, 64)
    with torch.compiler.set_stance("fail_on_recompile"), pytest.raises(RuntimeError, match="Detected recompile"):
        runner.bundle.model.network.encode_image(image)


def test_compiling_and_recomputing_exclude_each_other():
    with pytest.raises(ValidationError, match=r"loop\.compile and loop\.gradient_checkpointing cannot be on together"):
        settings(loop={"compile": True, "gradient_checkpointing": True})


def first_step(trainer: Trainer) -> StepReport:
    return next(trainer.steps())


class Notes:
    """Remembers all reports, and does something after every step."""

    def __init__(self, action: Callable[[StepReport], object] = lambda report: None) -> None:
        self.action = action
        self.steps: list[StepReport] = []
        self.epochs: list[EpochReport] = []

    def step(self, report: StepReport) -> None:
        self.steps.append(report)
        self.action(report)

    def epoch(self, report: EpochReport) -> None:
        self.epochs.append(report)


def weights_of(model: ReferringModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@dataclass(frozen=True)
class Finished:
    """A run of two epochs of three steps, and what its callback heard."""

    trainer: Trainer
    directory: RunDirectory
    notes: Notes

    @property
    def losses(self) -> list[float]:
        return [step.loss for step in self.notes.steps]


def finished(folder: Path, cache: Cache, chosen: Settings) -> Finished:
    run = Finished(trainer(cache, chosen), RunDirectory.create(folder, chosen, "abc"), Notes())
    run.trainer.run(run.directory, [run.notes])
    return run


@pytest.fixture(scope="module")
def usual(small_cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run with the settings above."""
    return finished(tmp_path_factory.mktemp("usual") / "run", small_cache, settings())


def test_run_writes_one_line_for_each_step_and_epoch_and_tells_its_callback_the_same(usual: Finished):
    lines = [json.loads(line) for line in (usual.directory.folder / "metrics.jsonl").read_text().splitlines()]
    steps = [StepReport(**{k: v for k, v in line.items() if k != "kind"}) for line in lines if line["kind"] == "step"]
    assert steps == usual.notes.steps
    assert [(step.epoch, step.step) for step in steps] == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6)]
    assert usual.directory.epochs() == usual.notes.epochs
    expected = [math.fsum(step.loss for step in steps if step.epoch == epoch) / 3 for epoch in (1, 2)]
    assert [epoch.loss for epoch in usual.notes.epochs] == pytest.approx(expected)


def test_last_weights_are_the_trained_model(usual: Finished):
    saved = weights_of(load_bundle(usual.directory.weights / "last").model)
    assert all(torch.equal(value, saved[name]) for name, value in weights_of(usual.trainer.bundle.model).items())
    assert (usual.directory.weights / "best" / "model.safetensors").is_file()


def test_neither_recomputed_activations_nor_processes_that_load_change_a_run(usual: Finished, small_cache: Cache, tmp_path: Path):
    other = finished(tmp_path / "run", small_cache, settings(loop={"gradient_checkpointing": True}, data={"workers": 2}))
    assert other.losses == usual.losses
    scores, expected = ([(epoch.overall_iou, epoch.mean_iou) for epoch in run.notes.epochs] for run in (other, usual))
    assert scores == expected


def test_one_loading_process_lives_through_all_epochs_and_none_is_left(small_cache: Cache, tmp_path: Path):
    chosen, children = settings(data={"workers": 1}), set()
    run = trainer(small_cache, chosen)
    notes = Notes(lambda report: children.add(tuple(child.pid for child in multiprocessing.active_children())))
    run.run(RunDirectory.create(tmp_path / "run", chosen, "abc"), [notes])
    assert {report.epoch for report in notes.steps} == {1, 2}
    assert [len(pids) for pids in children] == [1]
    assert multiprocessing.active_children() == []


def test_same_seed_trains_the_same_model_and_another_seed_another(usual: Finished, small_cache: Cache):
    losses = [first_step(trainer(small_cache, settings(loop={"seed": seed}))).loss for seed in (0, 4)]
    assert losses[0] == usual.losses[0] != losses[1]


def test_step_trains_the_whole_network_with_its_batch_norms_and_the_published_part_of_the_text_encoder(small_cache: Cache):
    trained = trainer(small_cache, settings())
    before = weights_of(trained.bundle.model)
    first_step(trained)
    after = weights_of(trained.bundle.model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    text = {name for name in changed if name.startswith("text.")}
    assert {name.split("layer.")[1][0] for name in text} == {"0"}
    kernels = {name for name, value in before.items() if name.startswith("network.") and value.ndim > 1}
    assert kernels | {name for name in before if name.endswith("running_mean")} <= changed


def test_loss_that_is_no_number_stops_the_run_and_names_the_sentences(small_cache: Cache, tmp_path: Path):
    chosen = settings(loop={"checkpoint_every": 1})
    broken = trainer(small_cache, chosen)
    directory = RunDirectory.create(tmp_path / "run", chosen, "abc")
    ruin = Notes(lambda report: report.step == 2 and torch.nn.init.constant_(broken.bundle.model.network.heads[-1].bias, math.nan))
    with pytest.raises(DivergedError, match=r"the loss is nan on the batch with the sentences \d+, \d+$") as caught:
        broken.run(directory, [ruin])
    kept = json.loads((directory.folder / "bad-batch.json").read_text())
    assert kept == {"step": 3, "problem": caught.value.message, "sent_ids": list(caught.value.sent_ids)}
    assert [path.name for path in directory.checkpoints.iterdir()] == ["epoch-0000-step-00000002"]


@pytest.mark.parametrize(("precision", "wider"), [("fp32", ""), ("bf16", " or --precision fp32")])
def test_after_a_divergence_a_new_run_is_advised_and_a_precision_only_where_it_is_not_the_widest(
    small_cache: Cache, precision: str, wider: str
):
    broken = trainer(small_cache, settings(loop={"precision": precision}))
    torch.nn.init.constant_(broken.bundle.model.network.heads[-1].bias, math.nan)
    with pytest.raises(DivergedError) as caught:
        first_step(broken)
    assert caught.value.hint == f"start a new run with a lower learning rate{wider}: cmirnet train --lr 0.0001"


def test_run_whose_last_step_ruined_the_weights_fails_and_keeps_those_of_the_epoch_before(small_cache: Cache, tmp_path: Path):
    chosen = settings(schedule={"epochs": 2})
    broken = trainer(small_cache, chosen)
    directory = RunDirectory.create(tmp_path / "run", chosen, "abc")
    last = broken.steps_total
    ruin = Notes(lambda report: report.step == last and torch.nn.init.constant_(broken.bundle.model.network.heads[-1].bias, math.nan))
    with pytest.raises(DivergedError, match="in validation, the network gives NaN for 'thing") as caught:
        broken.run(directory, [ruin])
    kept = directory.weights / "last"
    assert f"cmirnet train --init-from {kept} --lr 0.0001" in str(caught.value.hint)
    assert all(bool(values.isfinite().all()) for values in weights_of(load_bundle(kept).model).values())


def test_batch_computed_in_pieces_has_the_loss_and_the_gradients_of_the_whole(small_cache: Cache):
    whole, pieces = (
        trainer(small_cache, settings(schedule={"epochs": 1}, loop={"batch_size": 6, "accumulate": accumulate})) for accumulate in (1, 3)
    )
    losses = []
    for each, expected in ((whole, 1), (pieces, 3)):
        batches = list(each._batches())
        assert len(batches) == expected
        each.bundle.model.eval()  # batch norm is the one thing that sees the pieces
        losses.append(each.stepper.gradients(batches).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    for (name, ours), theirs in zip(pieces.bundle.model.named_parameters(), whole.bundle.model.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_gradients_are_clipped_to_the_norm_that_was_asked_for(small_cache: Cache):
    clipped = trainer(small_cache, settings(loop={"clip_norm": 1e-3}))
    first_step(clipped)
    states = clipped.stepper.state()["optimizer"]["state"].values()
    first_moments = torch.cat([state["exp_avg"].flatten() for state in states])
    assert first_moments.norm().item() == pytest.approx((1 - 0.9) * 1e-3, rel=1e-3)


def test_moving_average_is_the_formula_s_and_is_what_is_kept(small_cache: Cache, tmp_path: Path):
    chosen = settings(schedule={"epochs": 1}, loop={"ema_decay": 0.7})
    averaging = trainer(small_cache, chosen)
    trained: list[dict[str, torch.Tensor]] = []
    directory = RunDirectory.create(tmp_path / "run", chosen, "abc")
    averaging.run(directory, [Notes(lambda report: trained.append(weights_of(averaging.bundle.model)))])
    expected = trained[0]
    for weights in trained[1:]:
        expected = {name: 0.7 * value + 0.3 * weights[name] for name, value in expected.items()}
    kept = load_bundle(directory.weights / "last").model
    for name, value in kept.named_parameters():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-7, msg=name)
    assert not torch.equal(expected["network.heads.0.weight"], trained[-1]["network.heads.0.weight"])


def test_what_callbacks_do_is_no_waiting_for_data_and_no_part_of_a_step(
    small_cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """By a clock that is one second further each time it is read, and an hour further after each step's callbacks."""
    clock = [0.0]

    def pass_time(seconds: float) -> float:
        clock[0] += seconds
        return clock[0]

    monkeypatch.setattr(time, "perf_counter", lambda: pass_time(1))
    chosen, slow = settings(schedule={"epochs": 1}), Notes(lambda report: pass_time(3600))
    trainer(small_cache, chosen).run(RunDirectory.create(tmp_path / "run", chosen, "abc"), [slow])
    assert max(step.data_wait for step in slow.steps) < 0.9
    assert min(step.samples_per_second for step in slow.steps) > 2 / 3600
    assert slow.epochs[0].seconds < 3600


def test_a_dry_run_times_the_second_step_where_an_epoch_has_one(small_cache: Cache):
    tried = dry_run(trainer(small_cache, settings()))
    assert (tried.timed_step, tried.steps_per_epoch) == (2, 3)
    assert tried.total_hours == pytest.approx(tried.seconds_per_step * 3 * 2 / 3600)
    assert dry_run(trainer(small_cache, settings(loop={"batch_size": 6}))).timed_step == 1


def test_a_dry_run_of_an_epoch_that_has_all_its_steps_says_that_only_validation_is_left(small_cache: Cache):
    tried = trainer(small_cache, settings(loop={"batch_size": 6}))
    assert len(list(tried.steps())) == 1
    with pytest.raises(CmirnetError, match="all 1 steps of epoch 1 are taken, only its validation is left"):
        dry_run(tried)


def test_epoch_by_sentence_has_a_step_for_every_batch_of_sentences(small_cache: Cache):
    sentences = sum(len(small_cache.referent(row).sentences) for row in small_cache.referent_rows("train").tolist())
    assert sentences == 12
    assert trainer(small_cache, settings(data={"sample": "sentence"})).steps_per_epoch == 6


def test_batch_norm_over_processes_without_gpus_is_refused(small_cache: Cache):
    with pytest.raises(ConfigError, match="sync_batch_norm needs GPUs"):
        trainer(small_cache, settings(loop={"sync_batch_norm": True}))


def test_batch_that_cannot_be_cut_into_the_pieces_asked_for_is_refused(small_cache: Cache):
    with pytest.raises(ConfigError, match=r"batch_size \(2\) cannot be shared evenly by 1 processes with loop.accumulate 3") as caught:
        trainer(small_cache, settings(loop={"accumulate": 3}))
    assert caught.value.hint == "use a multiple of 3"


def test_half_precision_without_a_gpu_is_refused(small_cache: Cache):
    with pytest.raises(UsageError, match="fp16 needs a CUDA device, not cpu"):
        trainer(small_cache, settings(loop={"precision": "fp16"}))


def test_precision_is_the_published_one_unless_it_is_chosen_and_the_run_names_it(usual: Finished, small_cache: Cache):
    assert Settings().loop.precision == "auto"
    assert usual.trainer.settings.loop.precision == "fp32"
    trained = trainer(small_cache, settings(loop={"precision": "auto"}))
    assert trained.settings == settings(loop={"precision": "fp32"})


def test_bfloat16_trains_on_a_cpu(usual: Finished, small_cache: Cache):
    assert first_step(trainer(small_cache, settings(loop={"precision": "bf16"}))).loss == pytest.approx(usual.losses[0], rel=0.05)


@pytest.mark.parametrize(("batch_size", "rows"), [(4, [4, 2]), (7, [6])])
def test_last_batch_of_an_epoch_is_kept_though_it_is_smaller(small_cache: Cache, batch_size: int, rows: list[int]):
    trained = trainer(small_cache, settings(loop={"batch_size": batch_size}))
    reports = list(trained.steps())
    assert trained.steps_per_epoch == len(rows)
    assert [report.samples_per_second * report.seconds for report in reports] == pytest.approx(rows)


def test_batch_norm_over_processes_needs_a_sample_for_each():
    shared = settings(loop={"batch_size": 4, "sync_batch_norm": True})
    require_batches(6, shared, processes=2)
    with pytest.raises(ConfigError, match="last of an epoch's batches has 2 of 6 samples, and 4 processes cannot share its batch norm"):
        require_batches(6, shared, processes=4)


def test_size_the_cache_was_not_prepared_for_is_refused_with_the_command_that_prepares_it(small_cache: Cache):
    with pytest.raises(DataError, match="holds 64, 72 px; 96 px are required as well") as caught:
        trainer(small_cache, settings(data={"image_size": 64, "resize": 96}))
    assert "--size 64 --size 72 --size 96" in caught.value.hint
