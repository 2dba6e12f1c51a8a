"""How cost grows, as a picture: a row of charts of time, and one of memory below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from cmirnet_cli.reports.chart import Line, draw_chart
from cmirnet_cli.reports.palette import BLUE, VERMILION
from cmirnet_cli.reports.sheet_of_charts import lay_out

Series = tuple[Sequence[int], Sequence[float], Sequence[float]]


def growth_chart(series: Mapping[str, Series]) -> Image.Image:
    """What grows → its values, seconds, and GiB of memory."""
    times = [draw_chart("Seconds", values, [Line("seconds", BLUE, seconds)], name) for name, (values, seconds, _) in series.items()]
    memory = [draw_chart("Peak memory, GiB", values, [Line("GiB", VERMILION, held)], name) for name, (values, _, held) in series.items()]
    return lay_out([times, memory])
