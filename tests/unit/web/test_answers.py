"""What the page is given to show and to hand out."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.engine.prediction.masks import MaskRule, decide
from cmirnet_cli.errors import ImageError, UsageError
from cmirnet_cli.images.palette import BLUE, ORANGE
from cmirnet_cli.web.answers import (
    EXAMPLES,
    HALF,
    LARGEST_SIDE,
    MOST_EXPRESSIONS,
    SMALLEST_SIDE,
    ExpressionResult,
    UploadedPhoto,
    example,
    expressions_in,
    overlay_of,
)

PIXELS = np.random.default_rng(0).integers(1, 256, (6, 9, 3), dtype=np.uint8)


def as_file(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def opened(source: bytes) -> Image.Image:
    return Image.open(io.BytesIO(source))


def answer(probability: np.ndarray, name: str = "cup.jpg", expression: str = "the red cup") -> ExpressionResult:
    """What is made of a probability of the referent at every pixel, (6, 9)."""
    photo, rule = UploadedPhoto(name, PIXELS), MaskRule()
    prediction = decide(expression, photo.pixels, probability.astype(np.float32), rule)
    return ExpressionResult.of(photo, np.asarray(photo.shown()), prediction, cut=False)


RNG = np.random.default_rng(1)
PROBABILITY = RNG.random((6, 9), np.float32)
PROBABILITY[0, :4] = 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 0.35, 1


def test_a_line_is_an_expression_and_what_is_empty_or_said_twice_is_left_out():
    assert expressions_in("  the red cup \n\nleft person\r\nthe red cup\n \n") == ["the red cup", "left person"]


@pytest.mark.parametrize("text", ["", " \n\n", "\n".join(map(str, range(MOST_EXPRESSIONS + 1)))])
def test_no_expression_and_too_many_are_refused(text):
    with pytest.raises(UsageError):
        expressions_in(text)


def test_as_many_expressions_as_are_allowed_are_taken():
    assert len(expressions_in("\n".join(map(str, range(MOST_EXPRESSIONS))))) == MOST_EXPRESSIONS


def test_a_photo_is_its_file_decoded_under_its_own_name_without_folders():
    photo = UploadedPhoto.of_file("../kitchen/cup.png", as_file(PIXELS))
    assert (photo.name, photo.width, photo.height) == ("cup.png", 9, 6)
    assert photo.pixels.tolist() == PIXELS.tolist()


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_file_without_a_name_gets_one(name):
    assert UploadedPhoto.of_file(name, as_file(PIXELS)).name == "image"


def test_a_file_that_is_no_image_is_refused_by_its_name():
    with pytest.raises(ImageError, match=r"cup\.jpg"):
        UploadedPhoto.of_file("cup.jpg", b"no image")


def test_a_large_photo_is_shown_smaller_a_small_one_larger_and_any_other_as_it_is():
    large = UploadedPhoto("a", np.zeros((1000, 4 * LARGEST_SIDE, 3), np.uint8))
    assert opened(large.preview()).size == (LARGEST_SIDE, 250)
    assert opened(UploadedPhoto("a", PIXELS).preview()).size == (SMALLEST_SIDE, 427)
    assert opened(UploadedPhoto("a", np.zeros((700, 500, 3), np.uint8)).preview()).size == (500, 700)


@pytest.mark.parametrize("threshold", [5, 35, HALF, 65, 95])
def test_another_threshold_gives_the_mask_and_the_score_that_predict_gives(threshold):
    expected = decide("the red cup", PIXELS, PROBABILITY, MaskRule(threshold=threshold / 100))
    found = answer(PROBABILITY)
    assert np.array_equal(np.asarray(opened(found.mask(threshold))) > 0, expected.mask)
    assert found.score(threshold) == pytest.approx(expected.score)
    assert found.is_empty(threshold) == (not expected.mask.any())


def test_where_no_pixel_is_above_the_threshold_nothing_is_found():
    found = answer(np.full((6, 9), 0.4))
    assert [found.is_empty(threshold) for threshold in (35, HALF)] == [False, True]
    assert found.score(HALF) == 0
    assert not np.asarray(opened(found.mask(HALF))).any()


def test_several_masks_are_drawn_on_one_picture_each_in_its_colour():
    left, right = np.zeros((6, 9)), np.zeros((6, 9))
    left[1:5, 1:4], right[1:5, 5:8] = 1, 1
    drawn = np.asarray(opened(overlay_of([answer(left), answer(right)], HALF, [ORANGE, BLUE]))).astype(int)
    near = {colour: (np.abs(drawn - colour).sum(-1) < 60).nonzero()[1] for colour in (ORANGE, BLUE)}
    assert all(len(columns) > 100 for columns in near.values())
    assert near[ORANGE].max() < SMALLEST_SIDE / 2 < near[BLUE].min()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_always_the_same_and_brings_its_expressions(name):
    (photo, expressions), (again, _) = example(name), example(name)
    assert np.array_equal(photo.pixels, again.pixels)
    assert 1 < len(expressions_in("\n".join(expressions))) <= MOST_EXPRESSIONS


def test_a_cutout_keeps_the_object_alone():
    mask = np.zeros((6, 9), bool)
    mask[1:4, 2:7] = True
    kept = np.asarray(opened(answer(mask).cutout(HALF)))
    assert kept[..., 3].tolist() == (mask * 255).tolist()
    assert kept[mask][:, :3].tolist() == PIXELS[mask].tolist()
    assert not kept[~mask].any()


def test_downloads_are_named_after_the_photo_the_expression_and_what_they_are():
    assert answer(np.ones((6, 9), bool)).file_name("mask") == "cup.jpg.the-red-cup.mask.png"
    assert "/" not in answer(np.ones((6, 9), bool), expression="../../etc/passwd").file_name("cutout")
