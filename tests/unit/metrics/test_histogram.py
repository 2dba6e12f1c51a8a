"""Steps of the histogram, counted with exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from cmirnet_cli.metrics.scores import precision_hits
from cmirnet_cli.metrics.sentences import BINS, iou_bins


def test_every_step_holds_its_lower_end_and_the_last_one_both():
    union = np.full(BINS + 1, 20 * 7, dtype=np.int64)
    assert iou_bins(7 * np.arange(BINS + 1), union).tolist() == [*range(BINS), BINS - 1]


def test_steps_agree_with_exact_fractions():
    rng = np.random.default_rng(0)
    union = rng.integers(1, 200, 2000)
    intersection = rng.integers(0, union + 1)
    exact = [min(int(Fraction(int(a), int(b)) * BINS), BINS - 1) for a, b in zip(intersection, union, strict=True)]
    assert iou_bins(intersection, union).tolist() == exact


def test_an_empty_union_lies_in_the_first_step():
    assert iou_bins(np.array([0]), np.array([0])).tolist() == [0]


@pytest.mark.parametrize("place", range(5))
def test_no_step_holds_a_threshold_of_precision_inside(place):
    union = np.arange(1, 300, dtype=np.int64).repeat(2)
    intersection = np.random.default_rng(place).integers(0, union + 1)
    steps, above = iou_bins(intersection, union), precision_hits(intersection, union)[place]
    assert set(steps[above]).isdisjoint(steps[~above])
