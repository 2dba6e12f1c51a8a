"""gIoU, cIoU, N-acc and T-acc against counts made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmirnet_cli.metrics.intervals import Resampling
from cmirnet_cli.metrics.scores import EMPTY_BELOW
from cmirnet_cli.metrics.sentences import Tally
from cmirnet_cli.metrics.split_report import Generalised, generalise

Case = tuple[bool, int, int, int]
"""No target, intersection, union, pixels of the prediction."""

RIGHTLY_EMPTY = (True, 0, 0, 0)
WRONGLY_FILLED = (True, 0, 300, 300)
HALF_FOUND = (False, 100, 200, 150)
MISSED = (False, 0, 400, 0)


def generalised(*cases: Case, empty_below: int = EMPTY_BELOW) -> Generalised:
    none, inside, union, predicted = (np.array(column) for column in zip(*cases, strict=True))
    tally = Tally([f"{place}" for place in range(len(cases))], none, inside, union, predicted, empty_below)
    return generalise(tally, Resampling(resamples=50))


def scores(*cases: Case, empty_below: int = EMPTY_BELOW) -> dict[str, float]:
    return dict(generalised(*cases, empty_below=empty_below).measured.scores.values)


def test_the_four_scores_by_hand() -> None:
    found = scores(RIGHTLY_EMPTY, RIGHTLY_EMPTY, RIGHTLY_EMPTY, WRONGLY_FILLED, HALF_FOUND, MISSED)
    assert found["gIoU"] == pytest.approx(100 * (3 + 0 + 0.5 + 0) / 6)
    assert found["cIoU"] == pytest.approx(100 * 100 / (300 + 200 + 400))
    assert found["N-acc"] == 75
    assert found["T-acc"] == 50


def test_a_rightly_empty_mask_scores_one_and_adds_nothing_to_ciou() -> None:
    assert scores(RIGHTLY_EMPTY, HALF_FOUND) == {"gIoU": 75, "cIoU": 50, "N-acc": 100, "T-acc": 100}


def test_a_wrongly_filled_mask_scores_nothing_and_its_pixels_weigh() -> None:
    assert scores(WRONGLY_FILLED, HALF_FOUND) == {"gIoU": 25, "cIoU": 20, "N-acc": 0, "T-acc": 100}


@pytest.mark.parametrize(("pixels", "n_acc"), [(0, 100), (49, 100), (50, 0)])
def test_fewer_than_fifty_pixels_say_that_nothing_is_there(pixels: int, n_acc: float) -> None:
    assert scores((True, 0, pixels, pixels))["N-acc"] == n_acc


def test_a_cleared_mask_over_a_target_misses_all_of_it() -> None:
    almost = (False, 40, 60, 45)
    assert scores(almost, HALF_FOUND) == {
        "gIoU": 25,
        "cIoU": pytest.approx(100 * 100 / (55 + 200)),
        "N-acc": pytest.approx(math.nan, nan_ok=True),
        "T-acc": 50,
    }
    assert scores(almost, HALF_FOUND, empty_below=1)["gIoU"] == pytest.approx(100 * (40 / 60 + 0.5) / 2)


def test_the_rule_is_a_setting_but_a_mask_without_pixels_is_always_empty() -> None:
    speck = (True, 0, 5, 5)
    assert [scores(speck, empty_below=rule)["N-acc"] for rule in (0, 1, 5, 6)] == [0, 0, 0, 100]
    assert scores(RIGHTLY_EMPTY, empty_below=0)["N-acc"] == 100


def test_shares_of_sentences_that_are_not_there_are_no_number() -> None:
    assert math.isnan(scores(HALF_FOUND)["N-acc"])
    assert math.isnan(scores(RIGHTLY_EMPTY)["T-acc"])
    assert scores(RIGHTLY_EMPTY)["cIoU"] == 0


def test_counts_say_how_many_sentences_have_a_target() -> None:
    found = generalised(RIGHTLY_EMPTY, HALF_FOUND, MISSED)
    assert (found.targets, found.no_targets, found.empty_below) == (2, 1, 50)


def test_scores_equal_a_loop_over_masks() -> None:
    chance = np.random.default_rng(0)
    cases, ious, inside, either = [], [], 0, 0
    for place in range(60):
        target = np.zeros((20, 20), bool) if place % 3 == 0 else chance.random((20, 20)) < 0.4
        prediction = chance.random((20, 20)) < chance.choice([0.0, 0.1, 0.5])
        both, any_ = int((prediction & target).sum()), int((prediction | target).sum())
        cases.append((not target.any(), both, any_, int(prediction.sum())))
        kept = prediction if prediction.sum() >= 50 else np.zeros_like(prediction)
        both, any_ = int((kept & target).sum()), int((kept | target).sum())
        ious.append(both / any_ if any_ else 1.0)
        inside, either = inside + both, either + any_
    found = scores(*cases)
    assert found["gIoU"] == pytest.approx(100 * np.mean(ious))
    assert found["cIoU"] == pytest.approx(100 * inside / either)


def test_intervals_hold_their_scores() -> None:
    cases = [RIGHTLY_EMPTY, WRONGLY_FILLED, HALF_FOUND, MISSED, RIGHTLY_EMPTY, HALF_FOUND] * 5
    found = generalised(*cases).measured
    for name, value in found.scores.values.items():
        assert found.intervals[name].low < value < found.intervals[name].high
