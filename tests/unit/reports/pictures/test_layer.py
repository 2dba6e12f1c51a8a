"""A layer does to an image what an overlay does."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.reports.pictures.overlay import HALO, mask_layer, outline_layer, overlay
from cmirnet_cli.reports.pictures.palette import BLUE, ORANGE, WHITE

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
BOX = np.zeros((120, 160), bool)
BOX[30:90, 40:120] = True
NOTHING = np.zeros_like(BOX)


def laid_over(image, layer):
    return np.asarray(Image.alpha_composite(Image.fromarray(image).convert("RGBA"), layer.convert("RGBA")).convert("RGB")).astype(int)


@pytest.mark.parametrize("mask", [BOX, NOTHING, ~NOTHING, IMAGE[..., 0] > 128], ids=["box", "nothing", "everything", "noise"])
def test_laid_over_its_image_a_layer_gives_the_overlay(mask):
    assert np.abs(laid_over(IMAGE, mask_layer(mask, BLUE)) - np.asarray(overlay(IMAGE, mask, BLUE))).max() <= 1


def test_a_layer_keeps_its_transparency_as_a_small_png():
    layer, file = mask_layer(BOX), io.BytesIO()
    layer.save(file, "PNG", optimize=True)

    assert len(file.getvalue()) < 600
    assert np.array_equal(laid_over(IMAGE, Image.open(file)), laid_over(IMAGE, layer))


def test_a_mask_that_is_hard_to_see_has_a_ring_around_it_and_keeps_its_own_pixels():
    mask = NOTHING.copy()
    mask[60:62, 80:83] = True

    drawn = laid_over(IMAGE, mask_layer(mask))

    rows, columns = (drawn == WHITE).all(-1).nonzero()
    distance = np.hypot(rows - 60.5, columns - 81)
    assert len(rows) > 30
    assert distance.min() > 5
    assert distance.max() < 12
    assert (drawn[mask] == ORANGE).all()


def test_a_mask_in_a_corner_has_what_fits_of_the_ring():
    mask = NOTHING.copy()
    mask[0, 0] = True

    assert (laid_over(IMAGE, mask_layer(mask)) == WHITE).all(-1).any()


def test_a_mask_that_is_easy_to_see_has_no_ring():
    black = np.zeros_like(IMAGE)

    assert not (laid_over(black, mask_layer(BOX)) == WHITE).all(-1).any()


def test_a_bare_outline_lies_around_the_mask_with_a_dark_edge_and_touches_nothing_else():
    drawn = laid_over(IMAGE, outline_layer(BOX))

    rows, columns = np.indices(BOX.shape)
    away = np.maximum(np.maximum(30 - rows, rows - 89), np.maximum(40 - columns, columns - 119))
    assert (drawn[away == 1] == WHITE).all()
    assert (drawn[away == 2] == HALO).all()
    assert (drawn[(away < 1) | (away > 2)] == IMAGE[(away < 1) | (away > 2)]).all()


def test_nothing_has_no_outline():
    assert (laid_over(IMAGE, outline_layer(NOTHING)) == IMAGE).all()


def test_a_bare_outline_that_is_hard_to_see_has_a_ring():
    mask = NOTHING.copy()
    mask[60, 80] = True

    drawn = laid_over(IMAGE, outline_layer(mask, BLUE))

    assert (drawn[60, 80] == IMAGE[60, 80]).all()
    assert (drawn == BLUE).all(-1).sum() > 40
