"""The gallery picture: a sheet of cards, each an image with its mask, the sentence and how well they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cmirnet_cli.reports.pictures.drawing import draw_rounded, font, rounded, text_width, wrapped
from cmirnet_cli.reports.pictures.overlay import Mask, Photo, check_mask, fitting_size, outer_outline, overlay, scaled_mask
from cmirnet_cli.reports.pictures.palette import FAINT_INK, GREEN, INK, ORANGE, PAPER, RULE, VERMILION, WHITE, Colour

PREDICTION: Colour = ORANGE
TARGET: Colour = WHITE
HIT_COLOUR: Colour = GREEN
MISS_COLOUR: Colour = VERMILION
HIT = 0.5
"""From this IoU on the meter is green, as in precision@0.5."""

PICTURE = 220
PADDING = 10
CARD = PICTURE + 2 * PADDING
ROUNDING = 6
GAP = 16
MARGIN = 28
METER = 34
LEGEND = 60
HEADER = 86
TITLE_SIZE = 26
CAPTION_SIZE = 15
CAPTION_LINE = 20
CAPTION_LINES = 3
SMALL_SIZE = 13
FINENESS = 2
"""Pictures are drawn so many times larger than they are shown."""


@dataclass(frozen=True)
class SheetCard:
    """One card of a contact sheet.

    Attributes:
        image: uint8 (H, W, 3), RGB; any size, any aspect.
        prediction: bool (H, W).
        target: bool (H, W).
        sentence: the expression, in any length.
        iou: of prediction and target, a fraction from 0 to 1.
    """

    image: Photo
    prediction: Mask
    target: Mask
    sentence: str
    iou: float


def contact_sheet(cells: Sequence[SheetCard], columns: int = 4, title: str = "") -> Image.Image:
    """Draw the cells row by row as cards of one size, under a title and a legend.

    Small images are enlarged smoothly and large ones reduced, aspect kept. Letters of scripts that the built-in font lacks become boxes.

    Raises:
        ValueError: there are no cells or no columns, or a mask does not fit its image.
    """
    if not cells or columns < 1:
        raise ValueError(f"a contact sheet needs cells and columns, not {len(cells)} and {columns}")
    captions = [wrapped(cell.sentence, CAPTION_SIZE, PICTURE, CAPTION_LINES) for cell in cells]
    height = PICTURE + 2 * PADDING + max(map(len, captions)) * CAPTION_LINE + METER
    columns = min(columns, len(cells))
    sheet = Image.new("RGB", _sheet_size(len(cells), columns, height), PAPER)
    _draw_header(sheet, title)
    for index, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        row, column = divmod(index, columns)
        _draw_card(sheet, (MARGIN + column * (CARD + GAP), HEADER + row * (height + GAP)), height, cell, caption)
    return sheet


def _sheet_size(cells: int, columns: int, height: int) -> tuple[int, int]:
    rows = -(-cells // columns)
    return 2 * MARGIN + columns * CARD + (columns - 1) * GAP, HEADER + rows * height + (rows - 1) * GAP + MARGIN


def _draw_header(sheet: Image.Image, title: str) -> None:
    draw = ImageDraw.Draw(sheet)
    for line in wrapped(title, TITLE_SIZE, sheet.width - 2 * MARGIN, 1):
        draw.text((MARGIN, MARGIN), line, INK, font(TITLE_SIZE), anchor="lm")
    x = MARGIN
    for name, colour in (("prediction", PREDICTION), ("ground truth", TARGET)):
        draw_rounded(sheet, (x, LEGEND - 7, x + 20, LEGEND + 7), 4, INK)
        draw_rounded(sheet, (x + 2, LEGEND - 5, x + 18, LEGEND + 5), 3, colour)
        draw.text((x + 28, LEGEND), name, FAINT_INK, font(SMALL_SIZE), anchor="lm")
        x += 28 + text_width(name, SMALL_SIZE) + GAP


def _draw_card(sheet: Image.Image, corner: tuple[int, int], height: int, cell: SheetCard, caption: Sequence[str]) -> None:
    left, top = corner
    draw_rounded(sheet, (left - 1, top - 1, left + CARD + 1, top + height + 1), PADDING + 1, RULE)
    draw_rounded(sheet, (left, top, left + CARD, top + height), PADDING, WHITE)
    left, top = left + PADDING, top + PADDING
    sheet.paste(_picture(cell), (left, top), rounded((PICTURE, PICTURE), ROUNDING))
    _draw_meter(sheet, left, corner[1] + height - METER // 2 - PADDING // 2, cell.iou)
    draw = ImageDraw.Draw(sheet)
    for line, text in enumerate(caption):
        draw.text((left, top + PICTURE + PADDING + line * CAPTION_LINE), text, INK, font(CAPTION_SIZE))


def _draw_meter(sheet: Image.Image, left: int, middle: int, iou: float) -> None:
    """The IoU as a bar and a number, in one line that the picture is as wide as."""
    right = left + PICTURE
    ImageDraw.Draw(sheet).text((right, middle), f"IoU {100 * iou:.0f}", FAINT_INK, font(SMALL_SIZE), anchor="rm")
    length = PICTURE - text_width("IoU 100", SMALL_SIZE) - PADDING
    draw_rounded(sheet, (left, middle - 3, left + length, middle + 3), 3, RULE)
    if iou > 0:
        colour = HIT_COLOUR if iou >= HIT else MISS_COLOUR
        draw_rounded(sheet, (left, middle - 3, left + max(6, round(iou * length)), middle + 3), 3, colour)


def _picture(cell: SheetCard) -> Image.Image:
    """The image with its masks in the middle of a square of `PICTURE` pixels, drawn larger and reduced so that outlines are smooth."""
    fine = PICTURE * FINENESS
    size = fitting_size(cell.image.shape[1], cell.image.shape[0], fine)
    photo = np.asarray(Image.fromarray(cell.image).resize(size, Image.Resampling.BICUBIC))
    for mask in (cell.prediction, cell.target):
        check_mask(cell.image, mask)
    drawn = overlay(photo, scaled_mask(cell.prediction, size), PREDICTION)
    drawn.paste(TARGET, mask=Image.fromarray(outer_outline(scaled_mask(cell.target, size), FINENESS)))
    square = Image.new("RGB", (fine, fine), PAPER)
    square.paste(drawn, ((fine - size[0]) // 2, (fine - size[1]) // 2))
    return square.reduce(FINENESS)
