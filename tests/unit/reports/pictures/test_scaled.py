"""Sizes are worked out by hand; masks are compared with a count of the pixels that fall together."""

from __future__ import annotations

import numpy as np
import pytest

from cmirnet_cli.reports.pictures.overlay import fitting_size, scaled_mask


@pytest.mark.parametrize(
    ("width", "height", "side", "size"),
    [(640, 480, 320, (320, 240)), (480, 640, 320, (240, 320)), (4000, 3, 100, (100, 1)), (8, 8, 16, (16, 16))],
)
def test_the_longer_side_gets_the_wanted_length(width, height, side, size):
    assert fitting_size(width, height, side) == size


def test_a_reduced_mask_covers_what_the_mask_covers():
    mask = np.zeros((400, 600), bool)
    mask[100:300, 150:450] = True

    scaled = scaled_mask(mask, (300, 200))

    expected = mask.reshape(200, 2, 300, 2).all((1, 3))
    assert (scaled != expected).mean() < 0.005


@pytest.mark.parametrize(("row", "column"), [(0, 0), (200, 301), (399, 599)])
def test_a_single_pixel_survives_any_reduction_in_its_place(row, column):
    mask = np.zeros((400, 600), bool)
    mask[row, column] = True

    rows, columns = scaled_mask(mask, (30, 20)).nonzero()

    assert (rows.tolist(), columns.tolist()) == ([row // 20], [column // 20])


def test_an_empty_mask_stays_empty():
    assert not scaled_mask(np.zeros((40, 60), bool), (30, 20)).any()
    assert not scaled_mask(np.zeros((40, 60), bool), (120, 80)).any()
