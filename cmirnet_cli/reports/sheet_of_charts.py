"""Charts in rows on one sheet of paper."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from cmirnet_cli.reports.chart import CHART_HEIGHT, CHART_WIDTH
from cmirnet_cli.reports.drawing import draw_rounded, rounded
from cmirnet_cli.reports.palette import PAPER, RULE

GAP = 16
MARGIN = 24
ROUNDING = 10


def lay_out(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Charts of the usual size beside and below each other."""
    across, down = (CHART_WIDTH + GAP, CHART_HEIGHT + GAP)
    size = (2 * MARGIN + max(map(len, rows)) * across - GAP, 2 * MARGIN + len(rows) * down - GAP)
    canvas = Image.new("RGB", size, PAPER)
    for row, charts in enumerate(rows):
        for column, chart in enumerate(charts):
            left, top = MARGIN + column * across, MARGIN + row * down
            draw_rounded(canvas, (left - 1, top - 1, left + CHART_WIDTH + 1, top + CHART_HEIGHT + 1), ROUNDING + 1, RULE)
            canvas.paste(chart, (left, top), rounded(chart.size, ROUNDING))
    return canvas
