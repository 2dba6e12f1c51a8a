"""What `cmirnet eval` prints: the scores, what they mean, where they come from, and how they differ from others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from cmirnet_cli.metrics.breakdown import ATTRIBUTES
from cmirnet_cli.metrics.scored import CONTROLS
from cmirnet_cli.metrics.scores import PROTOCOLS
from cmirnet_cli.metrics.splits import Rules, SplitReport
from cmirnet_cli.reports.comparison import Comparison, change_lines
from cmirnet_cli.reports.score_tables import (
    DifferenceRow,
    GroupRow,
    ScoreRow,
    difference_table,
    generalised_table,
    group_table,
    score_table,
)

LABEL = "split, protocol"


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
    yield score_table(_rows(reports), title=title, label=LABEL)
    yield from _in_words(reports, rules)
    generalised = [(f"{each.split} {name}", under.generalised) for each in reports for name, under in each.protocols.items()]
    if known := [(label, found) for label, found in generalised if found]:
        yield generalised_table(known, title=f"{title}, sentences that refer to nothing included", label=LABEL)
        yield f"a mask of fewer than {rules.empty_below} pixels says that nothing is there"
    if groups:
        yield from _groups(reports, title)
    if comparisons:
        yield from _compared(comparisons, title)


def _rows(reports: Sequence[SplitReport]) -> list[ScoreRow]:
    return [
        ScoreRow(f"{each.split} {protocol}", under.measured, under.controls)
        for each in reports
        for protocol, under in each.protocols.items()
    ]


def _in_words(reports: Sequence[SplitReport], rules: Rules) -> Iterator[str]:
    first = next(iter(reports[0].protocols.values()))
    for protocol in reports[0].protocols:
        yield f"{protocol}: {PROTOCOLS[protocol]}"
    for control in first.controls:
        yield f"{control}: {CONTROLS[control]}"
    drawn = rules.resampling
    yield f"±: half of the 95 % interval's width ({drawn.resamples:,} resamples of the images, seed {drawn.seed})"


def _groups(reports: Sequence[SplitReport], title: str) -> Iterator[RenderableType]:
    for each in reports:
        for protocol, under in each.protocols.items():
            rows = [GroupRow(attribute, name, one) for attribute, parts in under.groups.items() for name, one in parts.items()]
            yield group_table(rows, title=f"{title} {each.split}, {protocol}")
    first = next(iter(reports[0].protocols.values()))
    for attribute in first.groups:
        yield f"{attribute}: {ATTRIBUTES[attribute]}"


def _compared(comparisons: Sequence[Comparison], title: str) -> Iterator[RenderableType]:
    rows = [DifferenceRow(f"{one.split} {one.protocol}", one.ours, one.theirs, one.differences) for one in comparisons]
    yield difference_table(rows, title=f"{title}, these weights and others", label=LABEL)
    for one in comparisons:
        yield from change_lines(one)
