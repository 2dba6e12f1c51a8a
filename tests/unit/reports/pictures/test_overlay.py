"""Overlays and layers are checked pixel by pixel, sizes against numbers worked out by hand."""

from __future__ import annotations

import colorsys
import io

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.images.drawing import EXPRESSION_COLOURS, HALO, overlay
from cmirnet_cli.images.palette import BLUE, ORANGE, WHITE
from cmirnet_cli.reports.pictures.overlay import fitting_size, mask_layer, outline_layer, scaled_mask

IMAGE = np.random.default_rng(0).integers(60, 256, (120, 160, 3), dtype=np.uint8)
NOTHING = np.zeros((120, 160), bool)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = NOTHING.copy()
    mask[top:bottom, left:right] = True
    return mask


BOX, INSIDE, AROUND = box(30, 40, 90, 120), box(31, 41, 89, 119), box(29, 39, 91, 121)


def laid_over(layer: Image.Image, image: np.ndarray = IMAGE) -> np.ndarray:
    return np.asarray(Image.alpha_composite(Image.fromarray(image).convert("RGBA"), layer.convert("RGBA")).convert("RGB")).astype(int)


def test_an_overlay_darkens_the_rest_and_keeps_its_hue_and_leaves_the_image_alone():
    before = IMAGE.copy()
    drawn = np.asarray(overlay(IMAGE, BOX))
    assert drawn.shape == IMAGE.shape
    assert np.array_equal(IMAGE, before)
    for old, new in zip(IMAGE[~AROUND][::17], drawn[~AROUND][::17], strict=True):
        assert new.max() < old.max()
        turn = abs(colorsys.rgb_to_hsv(*old / 255)[0] - colorsys.rgb_to_hsv(*new / 255)[0])
        assert min(turn, 1 - turn) <= 0.5 / max(int(new.max()) - int(new.min()), 1)


def test_inside_the_mask_pixels_move_towards_the_colour_and_the_outline_has_all_of_it():
    drawn = np.asarray(overlay(IMAGE, BOX, BLUE)).astype(int)
    before, after = (np.abs(pixels[INSIDE].astype(int) - BLUE).sum(1) for pixels in (IMAGE, drawn))
    assert (after[before > 10] < before[before > 10]).all()
    assert after.any()
    assert (drawn[BOX & ~INSIDE] == BLUE).all()
    assert (drawn[AROUND & ~BOX] == HALO).all()
    assert not (drawn[~BOX] == BLUE).all(-1).any()


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance as WCAG 2 defines it, of RGB colours (…, 3)."""
    parts = np.asarray(colours, float) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("colour", [ORANGE, *EXPRESSION_COLOURS])
def test_one_of_the_two_lines_is_seen_on_any_colour(colour):
    steps = np.arange(0, 256, 15)
    anything = luminance(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3))
    contrasts = []
    for line in (luminance(colour), luminance(HALO)):
        contrasts.append((np.maximum(anything, line) + 0.05) / (np.minimum(anything, line) + 0.05))
    assert np.maximum(*contrasts).min() > 2


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_on_a_noisy_mask_every_pixel_of_an_edge_says_on_which_side_it_lies(share):
    mask = np.random.default_rng(1).random(NOTHING.shape) < share
    for picture in (np.full_like(IMAGE, 255), np.zeros_like(IMAGE), np.full_like(IMAGE, ORANGE)):
        drawn = np.asarray(overlay(picture, mask))
        edges = (drawn == ORANGE).all(-1) | (drawn == HALO).all(-1)
        assert edges.mean() > 0.7
        assert ((drawn == ORANGE).all(-1) <= mask).all()
        assert ((drawn == HALO).all(-1) <= ~mask).all()


def test_an_empty_mask_only_dims_and_a_mask_of_everything_dims_nothing():
    assert (np.asarray(overlay(IMAGE, NOTHING)) < IMAGE).all()
    assert (np.asarray(overlay(np.zeros_like(IMAGE), ~NOTHING, BLUE)).sum(-1) > 0).all()


@pytest.mark.parametrize("mask", [np.ones((32, 32), bool), NOTHING.astype(np.uint8)], ids=["size", "dtype"])
def test_a_mask_of_another_size_or_kind_is_refused(mask):
    with pytest.raises(ValueError, match=r"mask must be bool \(120, 160\)"):
        overlay(IMAGE, mask)


@pytest.mark.parametrize("mask", [BOX, NOTHING, ~NOTHING, IMAGE[..., 0] > 150], ids=["box", "nothing", "everything", "noise"])
def test_laid_over_its_image_a_layer_gives_the_overlay(mask):
    assert np.abs(laid_over(mask_layer(mask, BLUE)) - np.asarray(overlay(IMAGE, mask, BLUE))).max() <= 1


def test_a_layer_keeps_its_transparency_as_a_small_png():
    layer, file = mask_layer(BOX), io.BytesIO()
    layer.save(file, "PNG", optimize=True)
    assert len(file.getvalue()) < 600
    assert np.array_equal(laid_over(Image.open(file)), laid_over(layer))


def test_a_mask_that_is_hard_to_see_has_a_ring_around_it_and_keeps_its_own_pixels():
    mask = box(60, 80, 62, 83)
    drawn = laid_over(mask_layer(mask))
    rows, columns = (drawn == WHITE).all(-1).nonzero()
    distance = np.hypot(rows - 60.5, columns - 81)
    assert len(rows) > 30
    assert 5 < distance.min() < distance.max() < 12
    assert (drawn[mask] == ORANGE).all()


def test_a_mask_in_a_corner_has_what_fits_of_the_ring_and_one_that_is_easy_to_see_none():
    black = np.zeros_like(IMAGE)
    assert (laid_over(mask_layer(box(0, 0, 1, 1)), black) == WHITE).all(-1).any()
    assert not (laid_over(mask_layer(BOX), black) == WHITE).all(-1).any()


def test_a_bare_outline_lies_around_the_mask_with_a_dark_edge_and_touches_nothing_else():
    drawn = laid_over(outline_layer(BOX))
    rows, columns = np.indices(BOX.shape)
    away = np.maximum(np.maximum(30 - rows, rows - 89), np.maximum(40 - columns, columns - 119))
    assert (drawn[away == 1] == WHITE).all()
    assert (drawn[away == 2] == HALO).all()
    assert (drawn[(away < 1) | (away > 2)] == IMAGE[(away < 1) | (away > 2)]).all()
    assert (laid_over(outline_layer(NOTHING)) == IMAGE).all()


def test_a_bare_outline_that_is_hard_to_see_has_a_ring():
    drawn = laid_over(outline_layer(box(60, 80, 61, 81), BLUE))
    assert (drawn[60, 80] == IMAGE[60, 80]).all()
    assert (drawn == BLUE).all(-1).sum() > 40


@pytest.mark.parametrize(
    ("width", "height", "side", "size"),
    [(640, 480, 320, (320, 240)), (480, 640, 320, (240, 320)), (4000, 3, 100, (100, 1)), (8, 8, 16, (16, 16))],
)
def test_the_longer_side_gets_the_length_and_the_aspect_stays(width, height, side, size):
    assert fitting_size(width, height, side) == size


def test_a_reduced_mask_covers_what_the_mask_covers():
    mask = np.zeros((400, 600), bool)
    mask[100:300, 150:450] = True
    assert (scaled_mask(mask, (300, 200)) != mask.reshape(200, 2, 300, 2).all((1, 3))).mean() < 0.005


@pytest.mark.parametrize(("row", "column"), [(0, 0), (200, 301), (399, 599)])
def test_a_single_pixel_survives_any_reduction_in_its_place(row, column):
    mask = np.zeros((400, 600), bool)
    mask[row, column] = True
    assert np.argwhere(scaled_mask(mask, (30, 20))).tolist() == [[row // 20, column // 20]]


def test_an_empty_mask_stays_empty():
    assert not scaled_mask(np.zeros((40, 60), bool), (30, 20)).any()
    assert not scaled_mask(np.zeros((40, 60), bool), (120, 80)).any()
