"""The published optimiser and schedule, against the formulas of the specification."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cmirnet_cli.config import OptimizerConfig, ScheduleConfig, Settings
from cmirnet_cli.engine.training.steps import learning_rate_factor, make_optimizer, make_schedule

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
