"""What `cmirnet eval` prints: the scores, what they mean, how they break down by groups, and how they differ from others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cmirnet_cli.metrics.intervals import Interval, MeasuredScores
from cmirnet_cli.metrics.split_report import ScoringOptions, SplitReport
from cmirnet_cli.reports.evaluation import score_lines
from cmirnet_cli.reports.evaluation.comparison import Comparison, change_lines
from cmirnet_cli.reports.evaluation.score_lines import LABEL, Role, ScoreTable, brief_values, number
from cmirnet_cli.reports.tables import bare_table

_SIZES: Mapping[str, str] = MappingProxyType({"paper": "at the network's size", "original": "at the image's own size"})

STYLES: Mapping[Role, str] = MappingProxyType({"own": "", "other": "dim", "difference": "green", "spread": "dim"})


def printed(
    reports: Sequence[SplitReport],
    comparisons: Sequence[Comparison],
    scoring: ScoringOptions,
    *,
    title: str,
    groups: bool,
    verbose: bool = True,
) -> Iterator[RenderableType]:
    """Everything in order, tables and lines.

    Args:
        reports: the splits of one data set.
        comparisons: of the same splits with other weights; may be empty.
        scoring: that the reports were made with.
        title: the data set.
        groups: whether scores of groups of sentences are printed too.
        verbose: whether every score is printed with what it means; else a line for each split and protocol, and one that explains it.
    """
    if verbose:
        yield printed_scores(score_lines.score_table(reports), title=title)
        yield from (f"{name}: {words}" for name, words in score_lines.in_words(reports).items())
        yield f"±: half of the {score_lines.INTERVAL}'s width ({score_lines.drawn_in_words(scoring)})"
    else:
        yield printed_briefly(reports, title=title)
        yield _legend(reports)
    if generalised := score_lines.generalised_table(reports):
        yield printed_scores(generalised, title=title)
        yield score_lines.empty_in_words(scoring)
    if groups:
        for each in reports:
            for protocol, under in each.protocols.items():
                yield printed_groups(under.groups, title=f"{title} {each.split}, {protocol}")
        yield from (f"{attribute}: {words}" for attribute, words in score_lines.attributes_in_words(reports).items())
    if comparisons:
        for table in score_lines.difference_tables(comparisons):
            yield printed_scores(table, title=title)
        for one in comparisons:
            yield from change_lines(one)


def printed_briefly(reports: Sequence[SplitReport], *, title: str) -> Table:
    """A line for each split and protocol, and for each control: the main scores in percent, half of the interval's width behind them."""
    first = next(iter(reports[0].protocols.values())).measured
    table = bare_table(title, LABEL, *(metric.heading for metric, _, _ in brief_values(first)), "sentences")
    for each in reports:
        for protocol, under in each.protocols.items():
            controls = {f"  {name}": control.measured for name, control in under.controls.items()}
            for label, measured in {f"{each.split} {protocol}": under.measured, **controls}.items():
                cells = [_with_margin(value, interval) for _, value, interval in brief_values(measured)]
                table.add_row(Text(label), *cells, f"{measured.scores.sentences:,}", style="dim" if label in controls else None)
    return table


def _legend(reports: Sequence[SplitReport]) -> str:
    """What the brief lines mean, of what they show: intervals are left out where there are too few images."""
    protocols = [under for each in reports for under in each.protocols.items()]
    measured = [one for _, under in protocols for one in (under.measured, *(control.measured for control in under.controls.values()))]
    shown = any(interval and not math.isnan(interval.margin) for each in measured for _, _, interval in brief_values(each))
    sizes = [f"{name}: {_SIZES[name]}" for name in dict(protocols)]
    return "; ".join(["in percent", *(["±: half of the 95 % interval"] if shown else []), *sizes, "--verbose says more"])


def _with_margin(value: float, interval: Interval | None) -> str:
    margin = math.nan if interval is None else interval.margin
    return number(value) if math.isnan(margin) else f"{number(value)} ± {number(margin)}"


def printed_scores(scores: ScoreTable, *, title: str) -> Table:
    """Scores in percent, half of the 95 % interval's width below each that has one."""
    table = bare_table(", ".join(filter(None, (title, scores.title))), LABEL, *scores.headings)
    for block in scores.blocks:
        for line in block:
            table.add_row(Text(line.label), *line.numbers, *(f"{count:,}" for count in line.counts), style=STYLES[line.role])
            if line.values and line.role != "spread":
                table.add_row("  ±", *(number(interval.margin) for _, interval in line.values), style="dim")
        if len(block) > 1:
            table.add_section()
    return table


def printed_groups(groups: Mapping[str, Mapping[str, MeasuredScores]], *, title: str) -> Table:
    """Scores of groups of sentences, attribute by attribute; the main ones with half of the 95 % interval's width."""
    first = next(iter(next(iter(groups.values())).values()))
    columns = [heading for metric, _, interval in brief_values(first) for heading in (metric.heading, *(["±"] if interval else []))]
    table = bare_table(title, "by", "group", *columns, "sentences")
    table.columns[1].justify = "left"
    for attribute, members in groups.items():
        table.add_section()
        for place, (name, measured) in enumerate(members.items()):
            pairs = [(value, *([interval.margin] if interval else [])) for _, value, interval in brief_values(measured)]
            cells = [number(value) for pair in pairs for value in pair]
            table.add_row(Text("" if place else attribute), Text(name), *cells, f"{measured.scores.sentences:,}")
    return table
