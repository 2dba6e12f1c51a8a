"""Groups of items, and groups that are padded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmirnet_cli.engine.rows import grouped, padded, require_numbers
from cmirnet_cli.errors import WeightsError


@pytest.mark.parametrize(("size", "groups"), [(1, ["a", "b", "c"]), (2, ["ab", "c"]), (3, ["abc"]), (9, ["abc"])])
def test_groups_are_whole_but_for_the_last(size: int, groups: list[str]):
    assert list(map("".join, grouped("abc", size))) == groups


def test_nothing_has_no_groups():
    assert list(grouped([], 3)) == []


def test_items_are_taken_as_groups_are():
    left = iter(range(9))
    assert next(grouped(left, 2)) == [0, 1]
    assert next(left) == 2


@pytest.mark.parametrize(("size", "full"), [(2, "ab"), (5, "abbbb")])
def test_the_last_item_fills_a_group_up(size: int, full: str):
    assert "".join(padded("ab", size)) == full


@pytest.mark.parametrize("made", [np.array, torch.tensor])
def test_a_single_nan_is_refused_and_infinity_is_not(made: type):
    require_numbers(made([[0.0, -np.inf], [np.inf, 1.0]]), ["the cup"])
    with pytest.raises(WeightsError, match="gives NaN for 'the cup'"):
        require_numbers(made([[0.0, -np.inf], [np.nan, 1.0]]), ["the cup"])
