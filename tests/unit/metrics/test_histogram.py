"""Bins of the histogram, counted with exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from cmirnet_cli.metrics.scores import METRICS, TENTHS
from cmirnet_cli.metrics.sentences import BINS, Ints, Tally


def tally(intersection: Ints, union: Ints) -> Tally:
    return Tally(["0"] * len(union), np.zeros(len(union), bool), intersection, union, union)


def test_every_bin_holds_its_lower_end_and_the_last_one_both():
    union = np.full(BINS + 1, 20 * 7, dtype=np.int64)
    assert tally(7 * np.arange(BINS + 1), union).bins.tolist() == [*range(BINS), BINS - 1]


def test_bins_agree_with_exact_fractions():
    rng = np.random.default_rng(0)
    union = rng.integers(1, 200, 2000)
    intersection = rng.integers(0, union + 1)
    exact = [min(int(Fraction(int(a), int(b)) * BINS), BINS - 1) for a, b in zip(intersection, union, strict=True)]
    assert tally(intersection, union).bins.tolist() == exact


def test_an_empty_union_lies_in_the_first_bin():
    assert tally(np.array([0]), np.array([0])).bins.tolist() == [0]


@pytest.mark.parametrize("tenths", TENTHS)
def test_no_bin_holds_a_threshold_of_precision_inside(tenths: int):
    (precision,) = (metric for metric in METRICS if metric.name == f"precision@0.{tenths}")
    union = np.arange(1, 300, dtype=np.int64).repeat(2)
    drawn = tally(np.random.default_rng(tenths).integers(0, union + 1), union)
    above = precision.numerator(drawn)
    assert set(drawn.bins[above]).isdisjoint(drawn.bins[~above])
