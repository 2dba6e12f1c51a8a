"""Normalisation against NumPy, and the random crop against a map of coordinates."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from cmirnet_cli.batches.batch import normalise, random_crop


def coordinates(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose first two channels are row and column, and a mask that is their sum."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, rows], axis=-1), rows + columns


def test_normalise_is_numpys_arithmetic():
    image = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    expected = (image / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    found = normalise(torch.from_numpy(image))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_crop_takes_the_same_window_of_image_and_mask():
    image, mask = random_crop(*coordinates(9, 12), 6, np.random.default_rng(0))
    assert (image.shape, mask.shape) == ((6, 6, 3), (6, 6))
    np.testing.assert_array_equal(mask, image[..., 0] + image[..., 1])
    np.testing.assert_array_equal(np.diff(image[..., 0], axis=0), 1)
    np.testing.assert_array_equal(np.diff(image[..., 1], axis=1), 1)


def test_every_place_of_the_crop_is_equally_likely():
    image, mask = coordinates(6, 7)
    rng = np.random.default_rng(0)
    draws = 6000
    corners = Counter(tuple(random_crop(image, mask, 4, rng)[0][0, 0, :2].tolist()) for _ in range(draws))
    assert set(corners) == {(y, x) for y in range(3) for x in range(4)}
    expected = draws / 12
    assert max(abs(count - expected) for count in corners.values()) < 5 * expected**0.5


def test_crop_of_the_whole_size_changes_nothing():
    image, mask = coordinates(6, 6)
    cropped = random_crop(image, mask, 6, np.random.default_rng(0))
    np.testing.assert_array_equal(cropped[0], image)
    np.testing.assert_array_equal(cropped[1], mask)
