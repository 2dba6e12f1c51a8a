"""The gallery picture is checked by its size and by the colours at places worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cmirnet_cli.reports.pictures.palette import GREEN, ORANGE, VERMILION, WHITE, Colour
from cmirnet_cli.reports.pictures.sheet import SheetCard, contact_sheet

GREY = np.full((64, 64, 3), 120, dtype=np.uint8)
NOTHING = np.zeros((64, 64), dtype=bool)
SQUARE = NOTHING.copy()
SQUARE[16:48, 16:48] = True
CELL = SheetCard(GREY, SQUARE, NOTHING, "the square", 0.9)
PLAIN = replace(CELL, iou=0.0)


def has(picture: Image.Image | NDArray[np.uint8], colour: Colour) -> bool:
    return bool((np.asarray(picture) == colour).all(-1).any())


def photo(sheet: Image.Image, column: int = 0) -> NDArray[np.uint8]:
    """The 220 × 220 pixels of a picture in the first row."""
    left, top = 28 + column * 256 + 10, 86 + 10
    return np.asarray(sheet.crop((left, top, left + 220, top + 220)))


@pytest.mark.parametrize(
    ("cells", "columns", "size"), [(1, 4, (296, 408)), (4, 4, (1064, 408)), (5, 4, (1064, 718)), (3, 2, (552, 718)), (3, 1, (296, 1028))]
)
def test_a_sheet_grows_by_a_card_for_each_column_and_row(cells: int, columns: int, size: tuple[int, int]) -> None:
    assert contact_sheet([CELL] * cells, columns, "Title").size == size


def test_the_prediction_is_tinted_and_outlined_and_the_rest_dimmed() -> None:
    drawn = photo(contact_sheet([PLAIN]))

    assert has(drawn, ORANGE)
    assert (drawn[110, 20] < 120).all()
    red, green, blue = drawn[110, 110].tolist()
    assert red > green > blue


def test_the_target_is_outlined_just_outside_the_same_prediction() -> None:
    row = photo(contact_sheet([replace(PLAIN, target=SQUARE)]))[110]

    white = np.flatnonzero((row == WHITE).all(-1))
    orange = np.flatnonzero((row == ORANGE).all(-1))
    assert white.tolist() == [54, 165]
    assert orange.min() > 54
    assert orange.max() < 165


def test_an_empty_prediction_shows_the_target_alone() -> None:
    drawn = photo(contact_sheet([replace(PLAIN, prediction=NOTHING, target=SQUARE)]))

    assert has(drawn, WHITE)
    assert not has(drawn, ORANGE)


def test_the_legend_names_prediction_and_target() -> None:
    sheet = contact_sheet([PLAIN])
    header = sheet.crop((0, 0, sheet.width, 80))

    assert has(header, ORANGE)
    assert has(header, WHITE)


@pytest.mark.parametrize(("iou", "shown", "hidden"), [(0.5, GREEN, VERMILION), (1.0, GREEN, VERMILION), (0.49, VERMILION, GREEN)])
def test_the_meter_turns_green_at_one_half(iou: float, shown: Colour, hidden: Colour) -> None:
    sheet = contact_sheet([replace(CELL, iou=iou)])

    assert has(sheet, shown)
    assert not has(sheet, hidden)


def test_the_meter_is_as_long_as_the_iou() -> None:
    lengths = [(np.asarray(contact_sheet([replace(CELL, iou=iou)])) == GREEN).all(-1).sum(1).max() for iou in (0.5, 1.0)]

    assert lengths[0] == pytest.approx(lengths[1] / 2, abs=4)


def test_an_iou_of_zero_fills_no_meter() -> None:
    sheet = contact_sheet([PLAIN])

    assert not has(sheet, GREEN)
    assert not has(sheet, VERMILION)


@pytest.mark.parametrize("shape", [(30, 90), (90, 30), (1000, 700), (1, 1), (1, 3000)])
def test_images_of_any_shape_keep_their_aspect_in_a_cell(shape: tuple[int, int]) -> None:
    everything = np.ones(shape, dtype=bool)
    black = np.zeros((*shape, 3), dtype=np.uint8)

    drawn = photo(contact_sheet([SheetCard(black, everything, ~everything, "", 0.0)]))

    height, width = (np.ptp(np.flatnonzero((drawn < 240).all(-1).any(axis))) + 1 for axis in (1, 0))
    assert height == pytest.approx(max(1, 220 * shape[0] / max(shape)), abs=1)
    assert width == pytest.approx(max(1, 220 * shape[1] / max(shape)), abs=1)


def test_a_single_predicted_pixel_of_a_small_image_is_seen() -> None:
    pixel = NOTHING.copy()
    pixel[30, 30] = True

    drawn = photo(contact_sheet([replace(PLAIN, prediction=pixel)]))

    assert np.ptp(drawn.astype(int), axis=-1).max() > 60


def test_cards_stand_in_the_order_of_the_cells() -> None:
    greys = [np.full_like(GREY, grey) for grey in (40, 120, 200)]

    sheet = contact_sheet([replace(PLAIN, image=grey, prediction=NOTHING) for grey in greys])

    assert [photo(sheet, column)[110, 110, 0] for column in range(3)] == [28, 84, 140]


@pytest.mark.parametrize("sentence", ["", "红色的杯子", "الكأس الأحمر", "🎉👩‍👩‍👧", "a\nb\0c", "\udc80", "word " * 500, "x" * 10_000])
def test_any_sentence_can_be_drawn(sentence: str) -> None:
    assert contact_sheet([replace(CELL, sentence=sentence)], title=sentence).width == 296


def test_longer_captions_make_higher_cards_up_to_three_lines() -> None:
    heights = [contact_sheet([replace(CELL, sentence="word " * words)]).height for words in (1, 8, 14, 200, 400)]

    assert heights == [408, 428, 448, 448, 448]


@pytest.mark.parametrize("field", ["prediction", "target"])
def test_a_mask_of_another_size_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=r"mask must be bool \(64, 64\)"):
        contact_sheet([replace(CELL, **{field: np.ones((32, 32), dtype=bool)})])


@pytest.mark.parametrize(("cells", "columns"), [([], 4), ([CELL], 0)])
def test_a_sheet_without_cells_or_columns_is_refused(cells: list[SheetCard], columns: int) -> None:
    with pytest.raises(ValueError, match="needs cells and columns"):
        contact_sheet(cells, columns)
