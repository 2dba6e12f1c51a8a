"""Masks as they are kept: runs along rows, by hand, against COCO's library and there and back."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from cmirnet_cli.images.masks import decode_runs, encode_runs


def lengths(mask: np.ndarray) -> list[int]:
    return np.frombuffer(encode_runs(mask), "<u2").tolist()


def test_runs_go_row_by_row_and_begin_with_zeros():
    mask = np.array([[0, 0, 1], [1, 1, 0], [0, 0, 1]], np.uint8)
    assert lengths(mask) == [2, 3, 3, 1]


def test_a_mask_that_begins_on_the_referent_has_an_empty_first_run():
    assert lengths(np.array([[1, 1], [1, 0]], np.uint8)) == [0, 3, 1]
    assert lengths(np.ones((2, 2), np.uint8)) == [0, 4]


def test_a_run_longer_than_16_bits_is_cut_by_runs_of_no_length():
    assert lengths(np.zeros((480, 480), np.uint8)) == [65535, 0, 65535, 0, 65535, 0, 33795]
    assert lengths(np.ones((300, 300), np.uint8)) == [0, 65535, 0, 24465]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 1.0])
@pytest.mark.parametrize("size", [1, 2, 33, 480])
def test_what_was_encoded_comes_back(size: int, share: float):
    mask = (np.random.default_rng(size).random((size, size)) < share).astype(np.uint8)
    np.testing.assert_array_equal(decode_runs(encode_runs(mask), size), mask)


def test_runs_are_cocos_uncompressed_counts_of_the_mask_on_its_side():
    mask = (np.random.default_rng(0).random((40, 40)) < 0.3).astype(np.uint8)
    rle = coco.frPyObjects({"size": [40, 40], "counts": lengths(mask)}, 40, 40)
    np.testing.assert_array_equal(coco.decode(rle).T, mask)


def test_a_decoded_mask_lies_row_by_row_and_may_be_written_to():
    mask = decode_runs(encode_runs(np.eye(8, dtype=np.uint8)), 8)
    assert (mask.dtype, mask.flags.c_contiguous, mask.flags.writeable) == (np.uint8, True, True)
