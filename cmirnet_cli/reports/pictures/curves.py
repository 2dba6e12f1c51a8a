"""Line charts over whole numbers: what a training did over its epochs, or what something costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import cast

from PIL import Image, ImageDraw, ImageFont

from cmirnet_cli.images.palette import BLUE, FAINT_INK, INK, ORANGE, PAPER, PURPLE, RULE, VERMILION, WHITE, Colour

CHART_WIDTH, CHART_HEIGHT = 400, 290
LEFT, TOP, RIGHT, BOTTOM = 64, 66, 376, 238
"""The plot inside the chart."""
INTERVALS = 5
"""An axis is divided into at most so many."""
DOTS = 40
"""Lines of at most so many points have their points marked."""
DOT = 3
TITLE_SIZE = 17
SMALL_SIZE = 13
FINENESS = 3
"""Lines are drawn so many times larger than they are shown, to be smooth."""

GAP, MARGIN, ROUNDING = 16, 24, 10
"""Of the charts on one sheet."""


@dataclass(frozen=True)
class Curve:
    """A value for each number under one name; `None` where there is none."""

    name: str
    colour: Colour
    values: Sequence[float | None]


@dataclass(frozen=True)
class CurvePoint:
    """What one epoch left behind.

    Attributes:
        epoch: its number.
        loss: mean training loss.
        overall_iou: on the validation split, in percent (0 to 100); `None` where the epoch was not validated.
        mean_iou: likewise.
        lr: base learning rate.
    """

    epoch: int
    loss: float
    overall_iou: float | None
    mean_iou: float | None
    lr: float


@dataclass(frozen=True)
class Axis:
    """The numbers at the two ends of an axis, and those marked on it."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """0 for the low end, 1 for the high one."""
        return (value - self.low) / (self.high - self.low)


def training_curves(history: Sequence[CurvePoint]) -> Image.Image:
    """Three charts side by side: training loss, validation scores, learning rate.

    A line passes over epochs without a value and breaks where a value is not finite, so that a diverged run shows.

    Raises:
        ValueError: the history is empty.
    """
    if not history:
        raise ValueError("no epochs to draw curves of")
    charts = {
        "Training loss": [Curve("loss", VERMILION, [point.loss for point in history])],
        "Validation IoU, %": [
            Curve("overall", BLUE, [point.overall_iou for point in history]),
            Curve("mean", ORANGE, [point.mean_iou for point in history]),
        ],
        "Learning rate": [Curve("learning rate", PURPLE, [point.lr for point in history])],
    }
    epochs = [point.epoch for point in history]
    return lay_out([[draw_chart(title, epochs, lines) for title, lines in charts.items()]])


def draw_chart(title: str, numbers: Sequence[int], lines: Sequence[Curve], counted: str = "epoch") -> Image.Image:
    """Draw the lines over the numbers, which say what is `counted`; several lines get a legend."""
    across = number_axis(numbers)
    up = value_axis(value for line in lines for value in line.values)
    chart = Image.new("RGB", (CHART_WIDTH * FINENESS, CHART_HEIGHT * FINENESS), WHITE)
    draw = ImageDraw.Draw(chart)
    for tick in up.ticks:
        y = round(_y(up, tick)) * FINENESS + FINENESS // 2
        draw.line((LEFT * FINENESS, y, RIGHT * FINENESS, y), FAINT_INK if tick == 0 else RULE, FINENESS)
    for line in lines:
        points = [(_x(across, number), _y(up, value)) for number, value in zip(numbers, line.values, strict=True) if value is not None]
        _draw_line(draw, points, line.colour)
    chart = chart.reduce(FINENESS)
    _draw_texts(chart, title, counted, across, up)
    if len(lines) > 1:
        _draw_legend(chart, lines)
    return chart


def lay_out(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Charts of the usual size beside and below each other."""
    across, down = (CHART_WIDTH + GAP, CHART_HEIGHT + GAP)
    size = (2 * MARGIN + max(map(len, rows)) * across - GAP, 2 * MARGIN + len(rows) * down - GAP)
    canvas = Image.new("RGB", size, PAPER)
    for row, charts in enumerate(rows):
        for column, chart in enumerate(charts):
            left, top = MARGIN + column * across, MARGIN + row * down
            canvas.paste(RULE, (left - 1, top - 1), _rounded((CHART_WIDTH + 2, CHART_HEIGHT + 2), ROUNDING + 1))
            canvas.paste(chart, (left, top), _rounded(chart.size, ROUNDING))
    return canvas


def number_axis(numbers: Sequence[int]) -> Axis:
    """From the lowest number to the highest, marked at round ones."""
    low = min(numbers)
    high = max(low + 1, *numbers)
    step = max(1, round(_round_step(high - low)))
    return Axis(low, high, tuple(range(math.ceil(low / step) * step, high + 1, step)))


def value_axis(values: Iterable[float | None]) -> Axis:
    """From zero to a round number that no finite value exceeds; values are never negative."""
    highest = max((value for value in values if value is not None and math.isfinite(value)), default=0.0)
    step = _round_step(highest if highest > 0 else 1.0)
    intervals = math.ceil(highest / step - 1e-9) if highest > 0 else INTERVALS
    return Axis(0, intervals * step, tuple(place * step for place in range(intervals + 1)))


def _round_step(span: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, 50 … (and of their tenths …) that divides the span into few enough intervals."""
    magnitude = 10.0 ** math.floor(math.log10(span / INTERVALS))
    return next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude * INTERVALS >= span * (1 - 1e-9))


def _x(across: Axis, number: float) -> float:
    return LEFT + across.place(number) * (RIGHT - LEFT)


def _y(up: Axis, value: float) -> float:
    return BOTTOM - up.place(value) * (BOTTOM - TOP)


def _draw_line(draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], colour: Colour) -> None:
    """A stroke through each run of finite points, which are marked where there are few; else the last one is."""
    radius = DOT * FINENESS
    for finite, run in groupby(points, key=lambda point: math.isfinite(point[1])):
        if finite:
            stroke = [(x * FINENESS, y * FINENESS) for x, y in run]
            draw.line(stroke, colour, 2 * FINENESS, joint="curve")
            for x, y in stroke if len(points) <= DOTS else stroke[-1:]:
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _draw_texts(chart: Image.Image, title: str, counted: str, across: Axis, up: Axis) -> None:
    draw = ImageDraw.Draw(chart)
    small = _font(SMALL_SIZE)
    draw.text((20, 30), title, INK, _font(TITLE_SIZE), anchor="lm")
    for tick in across.ticks:
        draw.text((_x(across, tick), BOTTOM + 10), f"{tick:g}", FAINT_INK, small, anchor="mt")
    for tick in up.ticks:
        draw.text((LEFT - 10, _y(up, tick)), f"{tick:g}", FAINT_INK, small, anchor="rm")
    draw.text(((LEFT + RIGHT) / 2, CHART_HEIGHT - 10), counted, FAINT_INK, small, anchor="mb")


def _draw_legend(chart: Image.Image, lines: Sequence[Curve]) -> None:
    """The lines' names, flush right beside the title."""
    draw, small, right = ImageDraw.Draw(chart), _font(SMALL_SIZE), RIGHT
    for line in reversed(lines):
        left = right - round(small.getlength(line.name))
        draw.text((left, 30), line.name, FAINT_INK, small, anchor="lm")
        draw.line((left - 24, 30, left - 8, 30), line.colour, 3)
        right = left - 40


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in font, `size` pixels high. It has Latin letters; of other scripts it draws boxes."""
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


@lru_cache
def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """A mask (mode L) of a rectangle with round, smooth corners."""
    large = Image.new("L", (size[0] * FINENESS, size[1] * FINENESS))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, large.width - 1, large.height - 1), radius * FINENESS, fill=255)
    return large.reduce(FINENESS)
