"""What is measured, by hand; what is refused, and how it is said."""

from __future__ import annotations

import numpy as np
import pytest

from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.verification import TOLERANCES, Compared, Parity, Tolerance, compare


def logits_of(*masks: list[list[int]]) -> np.ndarray:
    """Logits whose larger class is the mask, with a standard deviation of 1."""
    mask = np.array(masks, np.float32)
    return np.stack([1 - 2 * mask, 2 * mask - 1], axis=1)


def parity_of(*batches: Compared, tolerance: Tolerance = TOLERANCES["fp32"]) -> Parity:
    return Parity("hand-made", 3, None, tolerance, batches)


def test_pixels_and_errors_are_counted_by_hand():
    expected, found = logits_of([[1, 1, 0, 0]], [[0, 0, 0, 0]]), logits_of([[1, 0, 0, 0]], [[0, 0, 0, 0]])
    compared = compare(found, expected)
    assert (compared.batch, compared.height, compared.width) == (2, 1, 4)
    assert compared.logits_error == pytest.approx(2.0)
    assert compared.equal_pixels == pytest.approx(7 / 8)
    assert (compared.intersections, compared.unions) == ((1, 0), (2, 0))
    assert compared.ious == [0.5, 1.0]


def test_numbers_over_all_batches_weigh_pixels_and_samples():
    small = Compared(1, 1, 2, 0.1, 0.5, (1,), (2,))
    large = Compared(3, 1, 2, 0.3, 1.0, (2, 2, 0), (2, 2, 0))
    parity = parity_of(small, large)
    assert parity.logits_error == 0.3
    assert parity.equal_pixels == pytest.approx((2 * 0.5 + 6 * 1.0) / 8)
    assert parity.mean_iou == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    assert parity.overall_iou == pytest.approx(5 / 6)
    assert parity.comparisons == 4
    assert [len(group.batches) for group in parity_of(small, large, large).alike()] == [1, 2]


def test_the_tolerances_of_fp32_are_those_that_are_promised():
    assert TOLERANCES["fp32"] == Tolerance(logits=1e-3, pixels=0.999)
    parity_of(Compared(1, 10, 100, 1e-3, 0.999, (5,), (5,))).require_within()


@pytest.mark.parametrize(
    ("compared", "tolerance", "said"),
    [
        (Compared(1, 10, 100, 2e-3, 1.0, (5,), (5,)), TOLERANCES["fp32"], "logits differ by 0.002"),
        (Compared(1, 10, 100, 0.0, 0.99, (5,), (5,)), TOLERANCES["fp32"], "99.000%"),
        (Compared(1, 10, 100, float("nan"), 1.0, (5,), (5,)), TOLERANCES["int8"], "not all numbers"),
        (Compared(1, 10, 100, 0.0, 1.0, (1,), (10,)), TOLERANCES["int8"], "mean IoU of 10.0%"),
    ],
)
def test_what_is_outside_a_tolerance_is_refused_with_its_number(compared: Compared, tolerance: Tolerance, said: str):
    with pytest.raises(ExportError, match=said):
        parity_of(compared, tolerance=tolerance).require_within()
