"""Timings as numbers; how long anything takes is not tested."""

from __future__ import annotations

import pytest

from cmirnet_cli.benchmarks.timing import Spread, Timing, side_by_side


def test_ways_take_turns_in_their_order():
    ran: list[str] = []
    timings = side_by_side({"slow": lambda: ran.append("slow"), "fast": lambda: ran.append("fast")}, items=4, rounds=3, at_least=0)
    assert ran == ["slow", "fast"] * 3
    assert list(timings) == ["slow", "fast"]
    assert all(len(timing.seconds) == 3 and timing.items == 4 and min(timing.seconds) >= 0 for timing in timings.values())


def test_advance_hears_of_every_run():
    heard: list[int] = []
    side_by_side({"a": lambda: None, "b": lambda: None}, items=1, rounds=4, at_least=0, advance=heard.append)
    assert heard == [1] * 8


def test_a_way_that_is_soon_done_is_run_until_its_turn_is_filled():
    ran: list[str] = []
    timing = side_by_side({"fast": lambda: ran.append("fast")}, items=1, rounds=1, at_least=0.02)["fast"]
    assert len(ran) > 1
    assert timing.seconds[0] * len(ran) >= 0.02


def test_milliseconds_are_those_of_one_item():
    assert Timing((2.0, 1.0, 4.0), items=100).milliseconds == Spread(median=20.0, lowest=10.0, highest=40.0)


def test_rate_is_that_of_the_middle_round():
    assert Timing((2.0, 1.0, 4.0), items=100).per_second == 50.0


def test_ways_are_compared_round_by_round():
    """A machine that is busy in one round is busy for both."""
    plain, cached = Timing((10.0, 30.0, 12.0), items=8), Timing((1.0, 3.0, 2.0), items=8)
    assert cached.times_faster_than(plain) == Spread(median=10.0, lowest=6.0, highest=10.0)
    assert plain.times_faster_than(plain) == Spread(1.0, 1.0, 1.0)
    assert plain.times_faster_than(cached).median == pytest.approx(0.1)
