"""Overlays are checked pixel by pixel."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from numpy.typing import NDArray

from cmirnet_cli.reports.overlay import inner_outline, outer_outline, overlay, overlays
from cmirnet_cli.reports.palette import OBJECTS, ORANGE, SKY

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
    drawn = np.asarray(overlay(IMAGE, MASK, SKY)).astype(int)

    before = np.abs(IMAGE[INSIDE].astype(int) - SKY).sum(1)
    after = np.abs(drawn[INSIDE] - SKY).sum(1)
    assert (after[before > 10] < before[before > 10]).all()
    assert not np.array_equal(drawn[INSIDE], np.broadcast_to(SKY, drawn[INSIDE].shape))


def test_the_outline_has_the_full_colour_and_lies_inside_the_mask() -> None:
    drawn = np.asarray(overlay(IMAGE, MASK, SKY))

    assert (drawn[MASK & ~INSIDE] == SKY).all()
    assert not (drawn[~MASK] == SKY).all(-1).any()


def test_an_empty_mask_only_dims() -> None:
    drawn = np.asarray(overlay(IMAGE, np.zeros((40, 60), dtype=bool)))

    assert (drawn < IMAGE).all()


def test_a_mask_of_everything_dims_nothing() -> None:
    black = np.zeros_like(IMAGE)

    assert (np.asarray(overlay(black, np.ones((40, 60), dtype=bool), SKY)).sum(-1) > 0).all()


def test_several_masks_take_the_colours_in_turn_and_start_over() -> None:
    masks = [rectangle(2 + 4 * row, 5, 5 + 4 * row, 20) for row in range(len(OBJECTS) + 1)]

    drawn = np.asarray(overlays(IMAGE, masks))

    corners = [tuple(drawn[2 + 4 * row, 5].tolist()) for row in range(len(masks))]
    assert corners == [*OBJECTS, ORANGE]


def test_a_later_mask_lies_over_an_earlier_one() -> None:
    drawn = np.asarray(overlays(IMAGE, [MASK, rectangle(15, 20, 25, 40)]))

    assert tuple(drawn[15, 20].tolist()) == OBJECTS[1]


def test_no_masks_only_dim() -> None:
    assert (np.asarray(overlays(IMAGE, [])) < IMAGE).all()


@pytest.mark.parametrize("width", [1, 2, 3])
def test_outlines_equal_a_search_around_every_pixel(width: int) -> None:
    mask = np.random.default_rng(1).random((12, 15)) < 0.7

    def near(value: bool, beyond: bool) -> NDArray[np.bool_]:
        padded = np.pad(mask, width, constant_values=beyond)
        side = 2 * width + 1
        return np.array([[(padded[y : y + side, x : x + side] == value).any() for x in range(15)] for y in range(12)])

    assert np.array_equal(inner_outline(mask, width), mask & near(False, beyond=False))
    assert np.array_equal(outer_outline(mask, width), ~mask & near(True, beyond=False))


def test_the_outline_is_wider_on_large_images() -> None:
    image, mask = np.zeros((960, 960, 3), dtype=np.uint8), np.zeros((960, 960), dtype=bool)
    mask[200:700, 200:700] = True

    row = np.asarray(overlay(image, mask, SKY))[450]

    assert (row == SKY).all(-1).sum() == 2 * 6


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (IMAGE, MASK.T, r"mask must be bool \(40, 60\), not bool \(60, 40\)"),
        (IMAGE, MASK.astype(np.uint8), r"not uint8 \(40, 60\)"),
        (IMAGE[..., 0], MASK, r"image must be uint8 \(H, W, 3\), not uint8 \(40, 60\)"),
        (IMAGE / 255, MASK, "not float64"),
    ],
)
def test_arrays_of_another_kind_are_refused(image: NDArray[np.uint8], mask: NDArray[np.bool_], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlay(image, mask)
