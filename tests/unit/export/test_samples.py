"""Which samples are taken."""

from __future__ import annotations

import pytest

from cmirnet_cli.export.preprocessing import halves, spread


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [0, 5]), (5, [0, 2, 4, 6, 8]), (10, list(range(10))), (99, list(range(10)))])
def test_samples_are_taken_evenly_from_all(count: int, expected: list[int]):
    assert spread(range(10), count) == expected


def test_nothing_is_taken_from_nothing():
    assert spread([], 4) == []


def test_no_sample_calibrates_and_measures():
    calibrating, measuring = halves(range(100), 8)
    assert len(calibrating) == len(measuring) == 8
    assert not {*calibrating} & {*measuring}
    assert sorted(map(len, halves(range(3), 32))) == [1, 2]
    assert halves(range(100), 8) == (calibrating, measuring)


def test_every_expression_calibrates_and_measures_when_several_are_asked_about_each_photo():
    pairs = [(photo, expression) for photo in range(16) for expression in ("the red cup", "left person")]
    for half in halves(pairs, 16):
        assert {expression for _, expression in half} == {"the red cup", "left person"}
