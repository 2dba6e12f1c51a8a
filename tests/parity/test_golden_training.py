"""Loss, gradients, optimiser and schedule, against four training steps of the official code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cmirnet_cli.config import Settings
from cmirnet_cli.engine.training.steps import make_optimizer, make_schedule
from cmirnet_cli.model.loss import SegmentationLoss
from cmirnet_cli.weights.official import convert_official

STEPS, SIZE, BATCH = 4, 96, 2
NOISE = 1e-7
"""What is left of gradients that are zero in exact arithmetic (biases before an instance norm)."""


@dataclass(frozen=True)
class Training:
    """Four steps of ours; the norms are those of the first step, by official parameter name."""

    losses: list[float]
    rates: list[float]
    norms: dict[str, float]


@pytest.fixture(scope="module")
def golden(shared_fixtures: Path) -> Mapping[str, np.ndarray]:
    return dict(np.load(shared_fixtures / "resnet50-train-96.npz"))


@pytest.fixture(scope="module")
def training(golden_network: Callable, recipe: SimpleNamespace, shapes: Callable) -> Training:
    settings = Settings.model_validate({"model": {"backbone": "resnet50"}, "schedule": {"epochs": 13}})
    network = golden_network("resnet50-224", "resnet50")
    loss_of = SegmentationLoss(settings.loss.class_weights)
    optimizer = make_optimizer(network, settings.optimizer)
    schedule = make_schedule(optimizer, settings.schedule, steps_per_epoch=1)
    norms: dict[str, float] = {}
    losses, rates = [], []
    for step, target in enumerate(targets()):
        image, words, keep, sentence = map(torch.from_numpy, recipe.golden_inputs(SIZE, BATCH, seed=step))
        loss = loss_of(network(image, words.transpose(1, 2), keep.bool(), sentence), target)
        optimizer.zero_grad()
        loss.backward()
        norms = norms or official_norms(network, shapes("resnet50-224"))
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        rates.append(optimizer.param_groups[0]["lr"])
    return Training(losses, rates, norms)


def targets() -> list[Tensor]:
    """The rectangles that the golden run was trained on."""
    rng = np.random.RandomState(77)
    made = []
    for _ in range(STEPS):
        target = np.zeros((BATCH, SIZE, SIZE), np.int64)
        for row in target:
            y, x = rng.randint(0, 48, 2)
            h, w = rng.randint(24, 48, 2)
            row[y : y + h, x : x + w] = 1
        target[:, :4, :4] = 255
        made.append(torch.from_numpy(target))
    return made


def official_norms(network: nn.Module, shapes: Mapping[str, list[int]]) -> dict[str, float]:
    """Gradient norms by official name.

    Tensors filled with the number of their name are sent through the converter, which so tells from which official entry each
    output channel of ours came (the graph's eight heads are one grouped convolution in ours).
    """
    names = [name for name in shapes if not name.startswith("backbone.")]
    labels = convert_official({name: torch.tensor(float(number)).expand(shapes[name]) for number, name in enumerate(names)})
    norms = {}
    for ours, parameter in network.named_parameters():
        channels = labels[ours].flatten(1)[:, 0] if labels[ours].ndim > 1 else labels[ours]
        for number in channels.unique():
            norms[names[int(number)]] = parameter.grad[channels == number].norm(dtype=torch.float64).item()
    return norms


def test_losses_of_four_steps_are_the_official_ones(training: Training, golden: Mapping[str, np.ndarray]):
    for ours, expected, tolerance in zip(training.losses, golden["losses"], (1e-6, 1e-4, 1e-3, 2e-3), strict=True):
        assert ours == pytest.approx(expected, abs=tolerance)


def test_gradient_of_every_parameter_has_the_official_norm(training: Training, golden: Mapping[str, np.ndarray]):
    expected = {name.removeprefix("grad."): float(value[0]) for name, value in golden.items() if name.startswith("grad.")}
    assert training.norms.keys() == expected.keys()
    far = {name: norm for name, norm in training.norms.items() if abs(norm - expected[name]) > max(2e-3 * expected[name], NOISE)}
    assert far == {}


def test_learning_rates_after_each_step_are_the_official_ones(training: Training, golden: Mapping[str, np.ndarray]):
    assert training.rates == golden["lrs"].tolist()


def test_learning_rates_of_thirty_epochs_are_the_official_ones(golden: Mapping[str, np.ndarray]):
    settings = Settings.model_validate({"model": {"backbone": "resnet50"}})
    optimizer = make_optimizer(nn.Linear(1, 1), settings.optimizer)
    schedule = make_schedule(optimizer, settings.schedule, steps_per_epoch=3)
    rates = []
    for _ in range(90):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == golden["lr_30epochs_3steps"].tolist()
