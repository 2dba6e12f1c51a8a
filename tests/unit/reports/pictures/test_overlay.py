"""Overlays are checked pixel by pixel."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.reports.pictures.overlay import overlay
from cmirnet_cli.reports.pictures.palette import BLUE

IMAGE: NDArray[np.uint8] = np.random.default_rng(0).integers(60, 256, (40, 60, 3), dtype=np.uint8)


def rectangle(top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_]:
    mask = np.zeros((40, 60), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


MASK = rectangle(10, 15, 30, 45)
INSIDE = rectangle(11, 16, 29, 44)


def test_an_overlay_has_the_size_of_its_image_and_leaves_the_image_alone() -> None:
    before = IMAGE.copy()

    drawn = overlay(IMAGE, MASK)

    assert (drawn.mode, drawn.size) == ("RGB", (60, 40))
    assert np.array_equal(IMAGE, before)


def test_outside_the_mask_pixels_are_darker_and_keep_their_hue() -> None:
    drawn = np.asarray(overlay(IMAGE, MASK))

    for before, after in zip(IMAGE[~MASK], drawn[~MASK], strict=True):
        assert after.max() < before.max()
        old, new = colorsys.rgb_to_hsv(*before / 255)[0], colorsys.rgb_to_hsv(*after / 255)[0]
        spread = int(after.max()) - int(after.min())
        assert min(abs(old - new), 1 - abs(old - new)) <= 0.5 / max(spread, 1)


def test_inside_the_mask_pixels_move_towards_the_colour() -> None:
    drawn = np.asarray(overlay(IMAGE, MASK, BLUE)).astype(int)

    before = np.abs(IMAGE[INSIDE].astype(int) - BLUE).sum(1)
    after = np.abs(drawn[INSIDE] - BLUE).sum(1)
    assert (after[before > 10] < before[before > 10]).all()
    assert not np.array_equal(drawn[INSIDE], np.broadcast_to(BLUE, drawn[INSIDE].shape))


def test_the_outline_has_the_full_colour_and_lies_inside_the_mask() -> None:
    drawn = np.asarray(overlay(IMAGE, MASK, BLUE))

    assert (drawn[MASK & ~INSIDE] == BLUE).all()
    assert not (drawn[~MASK] == BLUE).all(-1).any()


def test_an_empty_mask_only_dims() -> None:
    drawn = np.asarray(overlay(IMAGE, np.zeros((40, 60), dtype=bool)))

    assert (drawn < IMAGE).all()


def test_a_mask_of_everything_dims_nothing() -> None:
    black = np.zeros_like(IMAGE)

    assert (np.asarray(overlay(black, np.ones((40, 60), dtype=bool), BLUE)).sum(-1) > 0).all()
