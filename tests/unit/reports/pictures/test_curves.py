"""Axes are checked against ticks worked out by hand, curves by where their colours lie."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cmirnet_cli.images.palette import BLUE, ORANGE, PURPLE, VERMILION, Colour
from cmirnet_cli.reports.pictures.curves import CurvePoint, number_axis, training_curves, value_axis

HISTORY = [CurvePoint(epoch, 1.0 / epoch, 10.0 * epoch, 8.0 * epoch, 2e-5) for epoch in range(1, 8)]


def where(picture: Image.Image, colour: Colour, panel: int) -> NDArray[np.intp]:
    """Row and column, inside the plot of a panel, of all pixels of a colour."""
    left = 24 + panel * 416
    plot = np.asarray(picture.crop((left + 60, 24 + 60, left + 380, 24 + 245)))
    return np.argwhere((plot == colour).all(-1))


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        (1.03, [0, 0.5, 1.0, 1.5]),
        (77.9, [0, 20, 40, 60, 80]),
        (100.0, [0, 20, 40, 60, 80, 100]),
        (5e-5, [0, 1e-5, 2e-5, 3e-5, 4e-5, 5e-5]),
        (2e-5, [0, 0.5e-5, 1e-5, 1.5e-5, 2e-5]),
        (0.6, [0, 0.2, 0.4, 0.6]),
        (0.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_values_are_marked_at_round_numbers_from_zero_to_above_the_highest(highest: float, ticks: list[float]) -> None:
    axis = value_axis([0.0, highest, None, math.nan, math.inf])

    assert axis.ticks == pytest.approx(ticks)
    assert (axis.low, axis.high) == (0, pytest.approx(ticks[-1]))


@pytest.mark.parametrize(
    ("epochs", "low", "high", "ticks"),
    [
        (range(1, 31), 1, 30, (10, 20, 30)),
        (range(1, 6), 1, 5, (1, 2, 3, 4, 5)),
        (range(11, 13), 11, 12, (11, 12)),
        (range(3, 4), 3, 4, (3, 4)),
        (range(1, 121), 1, 120, (50, 100)),
    ],
)
def test_epochs_are_marked_at_round_numbers_between_first_and_last(epochs: range, low: int, high: int, ticks: tuple[int, ...]) -> None:
    axis = number_axis(epochs)

    assert (axis.low, axis.high, axis.ticks) == (low, high, ticks)


def test_the_picture_has_one_panel_for_loss_scores_and_learning_rate() -> None:
    picture = training_curves(HISTORY)

    assert picture.size == (3 * 400 + 2 * 16 + 2 * 24, 290 + 2 * 24)
    assert len(where(picture, VERMILION, 0)) > 50
    assert len(where(picture, BLUE, 1)) > 50
    assert len(where(picture, ORANGE, 1)) > 50
    assert len(where(picture, PURPLE, 2)) > 50


def test_a_rising_score_rises_and_the_higher_one_lies_above() -> None:
    picture = training_curves(HISTORY)
    overall, mean = where(picture, BLUE, 1), where(picture, ORANGE, 1)

    assert overall[overall[:, 1].argmax(), 0] < overall[overall[:, 1].argmin(), 0]
    assert overall[:, 0].min() < mean[:, 0].min()


def test_a_line_passes_over_epochs_that_were_not_validated() -> None:
    sparse = [point if point.epoch in (1, 7) else replace(point, overall_iou=None, mean_iou=None) for point in HISTORY]

    columns = where(training_curves(sparse), BLUE, 1)[:, 1]

    assert np.diff(np.unique(columns)).max() <= 2


def test_a_loss_that_is_not_a_number_breaks_the_line() -> None:
    broken = [replace(point, loss=math.nan) if point.epoch == 4 else point for point in HISTORY]

    columns = where(training_curves(broken), VERMILION, 0)[:, 1]

    assert np.diff(np.unique(columns)).max() > 312 / 6


def test_one_epoch_is_a_dot() -> None:
    dot = where(training_curves(HISTORY[:1]), VERMILION, 0)

    assert 0 < np.ptp(dot[:, 0]) <= 7
    assert 0 < np.ptp(dot[:, 1]) <= 7


def test_a_run_that_was_never_validated_or_diverged_at_once_still_has_curves() -> None:
    training_curves([CurvePoint(epoch, math.inf, None, None, 0.0) for epoch in range(500)])


def test_no_history_has_no_curves() -> None:
    with pytest.raises(ValueError, match="no epochs"):
        training_curves([])
