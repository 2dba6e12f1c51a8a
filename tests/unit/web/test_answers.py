"""What the page is given to show and to hand out."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.errors import ImageError, UsageError
from cmirnet_cli.web.answers import MOST_EXPRESSIONS, SHOWN_SIDE, ExpressionResult, UploadedPhoto, expressions_in

PIXELS = np.random.default_rng(0).integers(1, 256, (6, 9, 3), dtype=np.uint8)


def as_file(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def opened(source: bytes) -> Image.Image:
    return Image.open(io.BytesIO(source))


def answer(mask: np.ndarray, name: str = "cup.jpg", expression: str = "the red cup") -> ExpressionResult:
    return ExpressionResult(UploadedPhoto(name, PIXELS), expression, 0.5, False, b"", as_file(mask.astype(np.uint8) * 255), not mask.any())


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


def test_a_large_photo_is_shown_smaller_and_a_small_one_as_it_is():
    large = UploadedPhoto("a", np.zeros((1000, 4 * SHOWN_SIDE, 3), np.uint8))
    assert opened(large.preview()).size == (SHOWN_SIDE, 250)
    assert opened(UploadedPhoto("a", PIXELS).preview()).size == (9, 6)


def test_a_cutout_keeps_the_object_alone():
    mask = np.zeros((6, 9), bool)
    mask[1:4, 2:7] = True
    kept = np.asarray(opened(answer(mask).cutout()))
    assert kept[..., 3].tolist() == (mask * 255).tolist()
    assert kept[mask][:, :3].tolist() == PIXELS[mask].tolist()
    assert not kept[~mask].any()


def test_downloads_are_named_after_the_photo_the_expression_and_what_they_are():
    assert answer(np.ones((6, 9), bool)).file_name("mask") == "cup.jpg.the-red-cup.mask.png"
    assert "/" not in answer(np.ones((6, 9), bool), expression="../../etc/passwd").file_name("cutout")
