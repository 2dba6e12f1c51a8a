"""Tables of scores for the terminal: splits, controls, groups of sentences, differences between two weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from rich.table import Table
from rich.text import Text

from cmirnet_cli.reports.evaluation.score_lines import SCORE_HEADS, GroupRow, Heads, Role, Row, ScoreLine, lines_of, number
from cmirnet_cli.reports.tables import bare_table

MARGIN = "  ±"
STYLES: Mapping[Role, str] = MappingProxyType({"own": "", "other": "dim", "difference": "green"})


def score_table(rows: Sequence[Row], heads: Heads = SCORE_HEADS, *, title: str, label: str) -> Table:
    """Scores in percent, half of the 95 % interval's width below each; `label` heads the first column."""
    table = bare_table(title, label, *heads.scores, *heads.counts)
    for row in rows:
        lines = list(lines_of(row))
        for line in lines:
            _add(table, line)
        if len(lines) > 1:
            table.add_section()
    return table


def group_table(rows: Iterable[GroupRow], *, title: str) -> Table:
    """Overall and mean IoU of groups of sentences, each with half of its 95 % interval's width."""
    table = bare_table(title, "by", "group", "oIoU", "±", "mIoU", "±", "P@.5", "sentences")
    table.columns[1].justify = "left"
    before = None
    for row in rows:
        if before not in (None, row.attribute):
            table.add_section()
        scores, intervals = row.measured.scores, row.measured.intervals
        pairs = [(scores.overall_iou, intervals["overall_iou"]), (scores.mean_iou, intervals["mean_iou"])]
        cells = [number(each) for value, interval in pairs for each in (value, interval.margin)]
        first = "" if before == row.attribute else row.attribute
        table.add_row(Text(first), Text(row.group), *cells, number(scores.precision[0]), f"{scores.sentences:,}")
        before = row.attribute
    return table


def _add(table: Table, line: ScoreLine) -> None:
    table.add_row(Text(line.label), *line.numbers, *(f"{count:,}" for count in line.counts), style=STYLES[line.role])
    table.add_row(MARGIN, *(number(interval.margin) for _, interval in line.values), style="dim")
