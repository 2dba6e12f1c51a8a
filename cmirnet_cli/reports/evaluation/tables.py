"""What `cmirnet eval` prints: the scores, what they mean, where they come from, and how they differ from others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cmirnet_cli.metrics.breakdown import ATTRIBUTES
from cmirnet_cli.metrics.scores import PROTOCOLS
from cmirnet_cli.metrics.sentences import CONTROLS
from cmirnet_cli.metrics.split_report import ProtocolReport, Rules, SplitReport
from cmirnet_cli.reports.evaluation.comparison import Comparison, change_lines
from cmirnet_cli.reports.evaluation.score_lines import (
    GENERALISED_HEADS,
    SCORE_HEADS,
    DifferenceRow,
    GeneralisedRow,
    GroupRow,
    Heads,
    Role,
    Row,
    ScoreLine,
    ScoreRow,
    lines_of,
    number,
)
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


LABEL = "split, protocol"
WITHOUT_TARGET = "sentences that refer to nothing included"
COMPARED = "these weights and others"


def printed(
    reports: Sequence[SplitReport], comparisons: Sequence[Comparison], rules: Rules, *, title: str, groups: bool
) -> Iterator[RenderableType]:
    """Everything in order, tables and lines.

    Args:
        reports: the splits of one data set.
        comparisons: of the same splits with other weights; may be empty.
        rules: that the reports were made with.
        title: the data set.
        groups: whether scores of groups of sentences are printed too.
    """
    yield score_table(score_rows(reports), title=title, label=LABEL)
    yield from (f"{name}: {words}" for name, words in in_words(reports).items())
    yield f"±: half of the 95 % interval's width ({drawn_in_words(rules)})"
    if generalised := generalised_rows(reports):
        yield score_table(generalised, GENERALISED_HEADS, title=f"{title}, {WITHOUT_TARGET}", label=LABEL)
        yield empty_in_words(rules)
    if groups:
        yield from _groups(reports, title)
    if comparisons:
        yield score_table(difference_rows(comparisons), title=f"{title}, {COMPARED}", label=LABEL)
        for one in comparisons:
            yield from change_lines(one)


def score_rows(reports: Sequence[SplitReport]) -> list[ScoreRow]:
    """One for each split and protocol."""
    return [ScoreRow(label, under.measured, under.controls) for label, under in _labelled(reports)]


def generalised_rows(reports: Sequence[SplitReport]) -> list[GeneralisedRow]:
    """One for each split and protocol with sentences that refer to nothing."""
    return [GeneralisedRow(label, under.generalised) for label, under in _labelled(reports) if under.generalised]


def difference_rows(comparisons: Sequence[Comparison]) -> list[DifferenceRow]:
    """One for each split and protocol that was compared."""
    return [DifferenceRow(f"{one.split} {one.protocol}", one.ours, one.theirs, one.differences) for one in comparisons]


def group_rows(under: ProtocolReport) -> list[GroupRow]:
    """One for each group of each attribute."""
    return [GroupRow(attribute, name, one) for attribute, parts in under.groups.items() for name, one in parts.items()]


def in_words(reports: Sequence[SplitReport]) -> dict[str, str]:
    """What is compared with what under each protocol, and what each control asks."""
    protocols = reports[0].protocols
    controls = next(iter(protocols.values())).controls
    return {name: PROTOCOLS[name] for name in protocols} | {name: CONTROLS[name] for name in controls}


def drawn_in_words(rules: Rules) -> str:
    """What intervals were made of."""
    return f"{rules.resampling.resamples:,} resamples of the images, seed {rules.resampling.seed}"


def empty_in_words(rules: Rules) -> str:
    """When a mask says that nothing is there."""
    return f"a mask of fewer than {rules.empty_below} pixels says that nothing is there"


def _labelled(reports: Sequence[SplitReport]) -> Iterator[tuple[str, ProtocolReport]]:
    for each in reports:
        for protocol, under in each.protocols.items():
            yield f"{each.split} {protocol}", under


def _groups(reports: Sequence[SplitReport], title: str) -> Iterator[RenderableType]:
    for each in reports:
        for protocol, under in each.protocols.items():
            yield group_table(group_rows(under), title=f"{title} {each.split}, {protocol}")
    first = next(iter(reports[0].protocols.values()))
    for attribute in first.groups:
        yield f"{attribute}: {ATTRIBUTES[attribute]}"
