"""The largest part of a mask is what a flood fill finds; scores are those of the pixels that are kept."""

from __future__ import annotations

import numpy as np
import pytest

from cmirnet_cli.engine.prediction.masks import MaskRule, decide, largest_component


def flood(mask: np.ndarray) -> np.ndarray:
    """Pixel by pixel, the parts in reading order; the largest, of equals the first."""
    height, width = mask.shape
    rest, largest = {(int(y), int(x)) for y, x in np.argwhere(mask)}, set()
    while rest:
        seed = min(rest)
        part, front = {seed}, [seed]
        rest.discard(seed)
        while front:
            y, x = front.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & rest
            rest -= near
            part |= near
            front += near
        largest = max(largest, part, key=len)
    drawn = np.zeros((height, width), bool)
    for place in largest:
        drawn[place] = True
    return drawn


@pytest.mark.parametrize("density", [0.15, 0.3, 0.45, 0.7])
def test_noise_of_any_size(density: float):
    random = np.random.default_rng(round(100 * density))
    for _ in range(60):
        mask = random.random(tuple(random.integers(1, 16, 2))) < density
        assert np.array_equal(largest_component(mask), flood(mask))


def test_a_snake_through_the_whole_picture_is_one_part():
    mask = np.zeros((41, 30), bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    assert np.array_equal(largest_component(mask), mask)


def test_a_spiral_is_one_part():
    mask = np.zeros((9, 9), bool)
    mask[0], mask[:, 8], mask[8], mask[2:, 0], mask[2, :7], mask[2:7, 6], mask[6, 2:7], mask[4:7, 2], mask[4, 2:5] = (True,) * 9
    assert np.array_equal(largest_component(mask), flood(mask))


def test_parts_do_not_touch_across_the_border():
    mask = np.array([[1, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0]], bool)
    assert np.array_equal(largest_component(mask), [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])


@pytest.mark.parametrize("value", [False, True])
def test_an_empty_mask_stays_empty_and_a_full_one_full(value: bool):
    mask = np.full((3, 5), value)
    found = largest_component(mask)
    assert np.array_equal(found, mask)
    assert found is not mask


def test_the_score_is_that_of_the_part_that_is_kept():
    probability = np.array([[0.9, 0.7, 0.1, 0.8]], np.float32)
    prediction = decide("cup", np.zeros((1, 4, 3), np.uint8), probability, MaskRule(largest_component=True))
    assert prediction.mask.tolist() == [[True, True, False, False]]
    assert prediction.score == pytest.approx(0.8)
