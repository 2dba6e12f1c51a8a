"""The published optimiser and schedule, against the formulas of the specification."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.config import ModelConfig, OptimizerConfig, ScheduleConfig, Settings, TextConfig
from cmirnet_cli.engine.training.steps import learning_rate_factor, make_optimizer, make_schedule
from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.encoder import scratch_encoder

EPOCHS, N = 30, 7


def swin(x: int) -> float:
    return 1 - 0.05 * x / N if x <= 10 * N else 0.5 * (1 - (x - 10 * N) / (20 * N)) ** 0.9


def resnet(x: int) -> float:
    return 1 - 0.12 * x / N if x <= 5 * N else 0.4 * (1 - (x - 5 * N) / (25 * N)) ** 0.9


@pytest.mark.parametrize(("backbone", "published", "lr"), [("swin-b", swin, 2e-5), ("resnet101", resnet, 5e-5)])
def test_learning_rate_follows_the_published_formula_over_the_whole_run(backbone: str, published: object, lr: float):
    settings = Settings.model_validate({"model": {"backbone": backbone}})
    optimizer = make_optimizer(nn.Linear(1, 1), settings.optimizer)
    schedule = make_schedule(optimizer, settings.schedule, N)
    for step in range(EPOCHS * N):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(lr * published(step), rel=1e-12)
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0


@pytest.mark.parametrize("epochs", [1, 5, 10])
def test_run_no_longer_than_the_straight_line_never_leaves_it(epochs: int):
    factor = learning_rate_factor(ScheduleConfig(epochs=epochs, warm_epochs=10, warm_slope=0.05), N)
    assert [factor(step) for step in range(epochs * N + 1)] == pytest.approx([1 - 0.05 * step / N for step in range(epochs * N + 1)])


def test_factor_stays_at_zero_behind_the_end():
    factor = learning_rate_factor(ScheduleConfig(epochs=12), N)
    assert [factor(12 * N), factor(12 * N + 1), factor(20 * N)] == [0, 0, 0]


def test_optimizer_is_adamw_with_its_defaults_and_one_decay_on_everything():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    optimizer = make_optimizer(model, OptimizerConfig(lr=1e-3))
    (group,) = optimizer.param_groups
    defaults = torch.optim.AdamW(nn.Linear(1, 1).parameters()).defaults
    assert isinstance(optimizer, torch.optim.AdamW)
    assert group["params"] == list(model.parameters())
    assert (group["lr"], group["weight_decay"]) == (1e-3, 1e-2)
    assert all(group[name] == defaults[name] for name in ("betas", "eps", "amsgrad"))


def test_frozen_parameters_are_left_out_of_the_optimizer():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    assert make_optimizer(model, OptimizerConfig()).param_groups[0]["params"] == list(model[1].parameters())


def small_model() -> ReferringModel:
    network = build_network(ModelConfig(backbone="timm/test_convnext2", fusion_width=16, text_width=24), 64)
    tokenizer = word_tokenizer(["a red cup"])
    return ReferringModel(network, TextEncoder(scratch_encoder(TextConfig(source="scratch"), 24, tokenizer)))


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [("sgd", "SGD", {"momentum": 0.8}), ("lion", "Lion", {"betas": [0.9, 0.98]}), ("muon", "Muon", {}), ("adamw", "AdamW", {"eps": 1e-6})],
)
def test_optimizers_are_timms_with_the_settings_that_they_take(name: str, kind: str, options: dict[str, object]):
    optimizer = make_optimizer(nn.Linear(2, 3), OptimizerConfig(name=name, lr=1e-3, options=options))
    assert type(optimizer).__name__ == kind
    assert optimizer.param_groups[0]["lr"] == 1e-3
    assert {option: optimizer.param_groups[0][option] for option in options} == options


def test_biases_and_norms_may_be_left_without_decay():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    groups = make_optimizer(model, OptimizerConfig(decay_all=False)).param_groups
    decay = {parameter: group["weight_decay"] for group in groups for parameter in group["params"]}
    assert [decay[parameter] for parameter in model.parameters()] == [1e-2, 0, 0, 0]


def test_the_learning_rate_falls_from_block_to_block_of_the_backbone():
    model = small_model()
    optimizer = make_optimizer(model, OptimizerConfig(lr=1e-2, layer_decay=0.5))
    schedule = make_schedule(optimizer, ScheduleConfig(), N)
    rates = {parameter: group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    blocks = [[block for name, block in stage.named_modules() if name.split(".")[-2:-1] == ["blocks"]] for stage in model.network.stages]
    found = [{rates[parameter] for parameter in block.parameters()} for stage in blocks for block in stage]
    assert all(len(each) == 1 for each in found)
    in_order = [each.pop() for each in found]
    assert in_order == sorted(in_order)
    assert len(set(in_order)) == len(in_order)
    assert in_order[-1] == pytest.approx(0.5e-2)
    assert {rates[parameter] for parameter in [*model.network.decoder.parameters(), *model.text.parameters()]} == {1e-2}
    assert schedule.lr == 1e-2
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(optimizer.param_groups[0]["initial_lr"] * (1 - 0.05 / N))


def test_cosine_goes_up_in_a_line_and_down_in_half_a_wave():
    optimizer = make_optimizer(nn.Linear(1, 1), OptimizerConfig(lr=1.0))
    config = ScheduleConfig(name="cosine", epochs=EPOCHS, options={"warmup_epochs": 2, "warmup_lr": 0.1, "min_lr": 0.01})
    schedule = make_schedule(optimizer, config, N)
    warm, total = 2 * N, EPOCHS * N
    for step in range(total):
        line = 0.1 + 0.9 * step / warm
        wave = 0.01 + 0.99 * (1 + math.cos(math.pi * step / total)) / 2
        assert schedule.lr == pytest.approx(line if step < warm else wave, rel=1e-9)
        schedule.step()
    assert make_schedule(optimizer, config, N, taken=40).lr == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi * 40 / total)) / 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: make_optimizer(nn.Linear(1, 1), OptimizerConfig(name="adamwx")), "timm has no optimiser 'adamwx'"),
        (lambda: make_optimizer(nn.Linear(1, 1), OptimizerConfig(name="adahessian")), "needs second derivatives"),
        (lambda: make_optimizer(nn.Linear(1, 1), OptimizerConfig(options={"speed": 1})), "adamw cannot be made: .*'speed'"),
        (lambda: make_optimizer(nn.Linear(1, 1), OptimizerConfig(options={"foreach": True})), "adamw cannot be made: .*foreach"),
        (
            lambda: make_schedule(
                make_optimizer(nn.Linear(1, 1), OptimizerConfig()), ScheduleConfig(name="step", options={"decay_epochs": 0}), N
            ),
            "step cannot be made: .*zero",
        ),
        (
            lambda: make_schedule(make_optimizer(nn.Linear(1, 1), OptimizerConfig()), ScheduleConfig(name="cosine", options={"a": 1}), N),
            "cosine cannot be made: .*'a'",
        ),
    ],
)
def test_what_timm_lacks_is_named(wrong: Callable[[], object], message: str):
    with pytest.raises(ConfigError, match=message):
        wrong()
