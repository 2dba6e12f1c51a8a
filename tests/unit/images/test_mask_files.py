"""Pictures that are masks: black is background whatever the mode, and what is odd about a picture is said."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.images.mask_files import MaskPicture, read_mask
from cmirnet_cli.images.pixels import UnreadableImageError, open_image

HEIGHT, WIDTH = 30, 40
OBJECT = np.zeros((HEIGHT, WIDTH), bool)
OBJECT[5:20, 10:25] = True


def stored(picture: Image.Image, kind: str = "PNG", **how: object) -> MaskPicture:
    """What is read of a picture once it was saved as a file."""
    file = io.BytesIO()
    picture.save(file, kind, **how)
    file.seek(0)
    with open_image(file) as opened:
        return read_mask(opened)


def grey(background: int, drawn: int, kind: type = np.uint8) -> Image.Image:
    return Image.fromarray(np.where(OBJECT, kind(drawn), kind(background)))


def colour(background: tuple[int, ...], drawn: tuple[int, ...]) -> Image.Image:
    return Image.fromarray(np.where(OBJECT[..., None], np.uint8(drawn), np.uint8(background)))


def palette(colours: list[tuple[int, int, int]], indices: np.ndarray | None = None, **info: object) -> Image.Image:
    picture = Image.fromarray(OBJECT.astype(np.uint8) if indices is None else indices, "L")
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette([number for each in colours for number in each])
    picture.info.update(info)
    return picture


def photograph(shown: np.ndarray) -> np.ndarray:
    """A photograph of many colours, none of them black, with an alpha channel."""
    colours = np.random.default_rng(0).integers(1, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return np.dstack([colours, np.where(shown, 255, 0).astype(np.uint8)])


BLACK, WHITE, NEARLY_BLACK = (0, 0, 0), (255, 255, 255), (0, 0, 1)
USUAL: dict[str, Callable[[], Image.Image]] = {
    "grey": lambda: grey(0, 255),
    "grey of 1": lambda: grey(0, 1),
    "one bit": lambda: Image.fromarray(OBJECT),
    "16 bits": lambda: grey(0, 1, np.uint16),
    "colours": lambda: colour(BLACK, WHITE),
    "colour as dark as can be": lambda: colour(BLACK, NEARLY_BLACK),
    "all opaque": lambda: colour((*BLACK, 255), (*WHITE, 255)),
    "background transparent and black": lambda: colour((*BLACK, 0), (*WHITE, 255)),
    "object half transparent": lambda: colour((*BLACK, 255), (*WHITE, 128)),
    "palette": lambda: palette([BLACK, WHITE]),
    "palette as dark as can be": lambda: palette([BLACK, NEARLY_BLACK]),
    "palette that is all black": lambda: palette([BLACK, BLACK]),
    "palette with a coloured background": lambda: palette([(224, 224, 192), (128, 0, 0)]),
    "palette whose index 0 is not used": lambda: palette([WHITE, BLACK, (9, 9, 9)], OBJECT.astype(np.uint8) + 1),
    "palette with a transparent background": lambda: palette([BLACK, WHITE], transparency=0),
}


@pytest.mark.parametrize("name", USUAL)
def test_what_is_not_black_is_the_object(name: str):
    read = stored(USUAL[name]())
    np.testing.assert_array_equal(read.pixels, OBJECT)
    assert read.oddity is None


ALPHA: dict[str, Callable[[], Image.Image]] = {
    "white": lambda: colour((*WHITE, 0), (*WHITE, 255)),
    "black": lambda: colour((*BLACK, 0), (*BLACK, 255)),
    "black on transparent white": lambda: colour((*WHITE, 0), (*BLACK, 255)),
    "never fully transparent": lambda: colour((*WHITE, 100), (*WHITE, 255)),
    "grey": lambda: Image.fromarray(np.dstack([np.full((HEIGHT, WIDTH), 255, np.uint8), np.where(OBJECT, 255, 0).astype(np.uint8)])),
    "a cut-out photograph": lambda: Image.fromarray(photograph(OBJECT)),
    "a palette": lambda: palette([WHITE, WHITE], transparency=0).convert("RGBA"),
}


@pytest.mark.parametrize("name", ALPHA)
def test_an_object_in_the_alpha_channel_is_taken_from_there_and_said(name: str):
    read = stored(ALPHA[name]())
    np.testing.assert_array_equal(read.pixels, OBJECT)
    assert read.oddity == "alpha"


def test_a_transparent_corner_of_a_mask_is_background_and_the_colours_decide_elsewhere():
    pixels = np.asarray(colour((*BLACK, 255), (*WHITE, 255))).copy()
    pixels[15:20, 20:25, 3] = 0
    left = OBJECT.copy()
    left[15:20, 20:25] = False
    np.testing.assert_array_equal(stored(Image.fromarray(pixels)).pixels, left)


def blurred() -> Image.Image:
    """A mask that was a JPEG once."""
    file = io.BytesIO()
    grey(0, 255).save(file, "JPEG", quality=40)
    return Image.open(file)


ODD: dict[str, tuple[Callable[[], Image.Image], str]] = {
    "1 and 2": (lambda: grey(1, 2), "background"),
    "1 and 255": (lambda: grey(1, 255), "background"),
    "254 and 255": (lambda: grey(254, 255), "background"),
    "colours": (lambda: colour((1, 1, 1), WHITE), "background"),
    "16 bits": (lambda: grey(1000, 2000, np.uint16), "background"),
    "palette that contradicts its colours": (lambda: palette([WHITE, BLACK]), "background"),
    "black on white": (lambda: grey(255, 0), "inverted"),
    "black on white in colours": (lambda: colour(WHITE, BLACK), "inverted"),
    "a JPEG once": (blurred, "noise"),
}


@pytest.mark.parametrize("name", ODD)
def test_a_background_that_is_not_black_is_said(name: str):
    draw, oddity = ODD[name]
    assert stored(draw()).oddity == oddity


@pytest.mark.parametrize("shown", [np.ones_like(OBJECT), np.zeros_like(OBJECT)])
def test_a_mask_of_one_colour_is_as_it_is(shown: np.ndarray):
    read = stored(Image.fromarray(shown.astype(np.uint8) * 255))
    np.testing.assert_array_equal(read.pixels, shown)
    assert read.oddity is None


def test_soft_edges_are_no_noise():
    soft = np.asarray(grey(0, 255).resize((10 * WIDTH, 10 * HEIGHT), Image.Resampling.BILINEAR))
    assert stored(Image.fromarray(soft)).oddity is None


def test_a_mask_of_floating_point_numbers_is_read():
    read = stored(Image.fromarray(np.where(OBJECT, np.float32(0.001), np.float32(0))), "TIFF")
    np.testing.assert_array_equal(read.pixels, OBJECT)


def test_exif_turns_a_mask():
    exif = Image.Exif()
    exif[0x0112] = 6
    read = stored(Image.fromarray(np.rot90(OBJECT)), exif=exif)
    np.testing.assert_array_equal(read.pixels, OBJECT)


def test_a_jpeg_is_refused():
    with pytest.raises(UnreadableImageError, match="black is not quite black"):
        stored(grey(0, 255), "JPEG")
