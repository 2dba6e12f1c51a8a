"""Tables of scores for the terminal: splits, controls, groups of sentences, differences between two weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text

from cmirnet_cli.metrics.generalised import GENERALISED, Generalised
from cmirnet_cli.metrics.measured import Difference, Measured
from cmirnet_cli.metrics.scores import PROTOCOLS, TENTHS
from cmirnet_cli.metrics.splits import Control
from cmirnet_cli.reports.tables import bare_table

__all__ = ["PROTOCOLS", "DifferenceRow", "GroupRow", "ScoreRow", "difference_table", "generalised_table", "group_table", "score_table"]

HEADS = ("oIoU", "mIoU", *(f"P@.{tenths}" for tenths in TENTHS))
MARGIN = "  ±"


@dataclass(frozen=True)
class ScoreRow:
    """What was scored, and what it scored; more lines show each control and the difference to it."""

    label: str
    measured: Measured
    controls: Mapping[str, Control] = field(default_factory=dict)


@dataclass(frozen=True)
class DifferenceRow:
    """What was compared: both scores and the paired differences."""

    label: str
    ours: Measured
    theirs: Measured
    differences: Mapping[str, Difference]


@dataclass(frozen=True)
class GroupRow:
    """A group of sentences by an attribute."""

    attribute: str
    group: str
    measured: Measured


def score_table(rows: Sequence[ScoreRow], *, title: str | None = None, label: str = "protocol") -> Table:
    """Scores in percent, one line for each protocol or split, half of the 95 % interval's width below; `label` heads the first column."""
    table = bare_table(title, label, *HEADS, "sentences")
    for row in rows:
        _add_scores(table, row.label, row.measured)
        for name, control in row.controls.items():
            _add_scores(table, name, control.measured, "dim")
            _add_differences(table, control.owed)
        if row.controls:
            table.add_section()
    return table


def difference_table(rows: Sequence[DifferenceRow], *, title: str | None = None, label: str = "protocol") -> Table:
    """Ours, theirs and the paired difference, one below the other."""
    table = bare_table(title, label, *HEADS, "sentences")
    for row in rows:
        _add_scores(table, row.label, row.ours)
        _add_scores(table, "compared with", row.theirs, "dim")
        _add_differences(table, row.differences)
        table.add_section()
    return table


def generalised_table(rows: Sequence[tuple[str, Generalised]], *, title: str | None = None, label: str = "protocol") -> Table:
    """gIoU, cIoU, N-acc and T-acc of each labelled row, and how many sentences have a target or none."""
    table = bare_table(title, label, *GENERALISED, "with target", "without")
    for name, found in rows:
        counts = [f"{found.targets:,}", f"{found.no_targets:,}"]
        table.add_row(Text(name), *(_number(found.scores[each], ".2f") for each in GENERALISED), *counts)
        table.add_row(MARGIN, *(_number(found.intervals[each].margin, ".2f") for each in GENERALISED), style="dim")
    return table


def group_table(rows: Iterable[GroupRow], *, title: str | None = None) -> Table:
    """Overall and mean IoU of groups of sentences, each with half of its 95 % interval's width."""
    table = bare_table(title, "by", "group", "oIoU", "±", "mIoU", "±", "P@.5", "sentences")
    table.columns[1].justify = "left"
    before = None
    for row in rows:
        if before not in (None, row.attribute):
            table.add_section()
        scores, intervals = row.measured.scores, row.measured.intervals
        pairs = [(scores.overall_iou, intervals["overall_iou"]), (scores.mean_iou, intervals["mean_iou"])]
        cells = [cell for value, interval in pairs for cell in (f"{value:.2f}", _number(interval.margin, ".2f"))]
        first = "" if before == row.attribute else row.attribute
        table.add_row(Text(first), Text(row.group), *cells, f"{scores.precision[0]:.2f}", f"{scores.sentences:,}")
        before = row.attribute
    return table


def _add_scores(table: Table, label: str, measured: Measured, style: str = "") -> None:
    scores = measured.scores
    table.add_row(Text(label), *(f"{value:.2f}" for value in scores.percentages), f"{scores.sentences:,}", style=style)
    table.add_row(MARGIN, *(_number(interval.margin, ".2f") for interval in measured.intervals.values()), style="dim")


def _add_differences(table: Table, differences: Mapping[str, Difference]) -> None:
    table.add_row("difference", *(f"{each.value:+.2f}" for each in differences.values()), style="green")
    table.add_row(MARGIN, *(_number(each.interval.margin, ".2f") for each in differences.values()), style="dim")


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
