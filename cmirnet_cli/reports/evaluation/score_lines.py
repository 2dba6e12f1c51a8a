"""Tables of scores for any medium: what stands above the columns and in each line, and what is to be known about it, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cmirnet_cli.metrics.breakdown import ATTRIBUTES
from cmirnet_cli.metrics.intervals import LEVEL, Difference, Interval, MeasuredScores
from cmirnet_cli.metrics.scores import GENERALISED, PROTOCOLS, Metric
from cmirnet_cli.metrics.sentences import CONTROLS
from cmirnet_cli.metrics.split_report import ProtocolReport, ScoringOptions, SplitReport
from cmirnet_cli.reports.evaluation.comparison import Comparison

LABEL = "split, protocol"
WITHOUT_TARGET = "sentences that refer to nothing included"
NARROWEST = 0.005
"""Half of the width of an interval that is shown, in percent: a narrower one would be printed as ±0.00."""
NO_INTERVAL = Interval(math.nan, math.nan)
COMPARED = "these weights and others"
INTERVAL = f"{100 * LEVEL:g} % interval"

Role = Literal["own", "other", "difference", "spread"]
"""Whether a line holds the scores that the table is about, others that stand beside them, what differs, or how far seeds spread it."""


@dataclass(frozen=True)
class ScoreLine:
    """One line: scores in percent (or differences in points) with their intervals, in the order of the columns, and counts behind them."""

    label: str
    values: tuple[tuple[float, Interval], ...]
    counts: tuple[int, ...] = ()
    role: Role = "own"

    @property
    def numbers(self) -> list[str]:
        """The values as text, differences with their sign."""
        return [number(value, "+.2f" if self.role == "difference" else ".2f") for value, _ in self.values]

    @classmethod
    def of(cls, label: str, measured: MeasuredScores, role: Role = "own", counts: tuple[int, ...] | None = None) -> ScoreLine:
        """The line of a measurement; its sentences are the count behind it where no others are given."""
        values = tuple((measured.scores[metric.name], shown_interval(measured.intervals[metric.name])) for metric in measured.metrics)
        return cls(label, values, (measured.scores.sentences,) if counts is None else counts, role)

    @classmethod
    def between(cls, differences: Mapping[str, Difference], metrics: Sequence[Metric]) -> ScoreLine:
        """The line of what differs by these metrics."""
        values = tuple((differences[each.name].value, shown_interval(differences[each.name].interval)) for each in metrics)
        return cls("difference", values, role="difference")


@dataclass(frozen=True)
class ScoreTable:
    """What stands above the columns of scores and of counts, and the lines; those of one block belong together.

    `title` says what the scores are about, where that is more than the data.
    """

    headings: tuple[str, ...]
    blocks: tuple[tuple[ScoreLine, ...], ...]
    title: str = ""


def shown_interval(interval: Interval) -> Interval:
    """The interval, or none where it has no width: of a few images that score alike, resampling tells nothing."""
    return interval if interval.margin >= NARROWEST else NO_INTERVAL


def number(value: float, form: str = ".2f") -> str:
    """A score as text; a dash where there is none."""
    return "-" if math.isnan(value) else format(value, form)


def score_table(reports: Sequence[SplitReport]) -> ScoreTable:
    """A block for each split and protocol; more lines show each control and the difference to it."""
    blocks, metrics = [], _first(reports).measured.metrics
    for label, under in _labelled(reports):
        lines = [ScoreLine.of(label, under.measured)]
        for name, control in under.controls.items():
            lines += [ScoreLine.of(name, control.measured, "other"), ScoreLine.between(control.difference, metrics)]
        blocks.append(tuple(lines))
    return ScoreTable((*(metric.heading for metric in metrics), "sentences"), tuple(blocks))


def generalised_table(reports: Sequence[SplitReport]) -> ScoreTable | None:
    """A line for each split and protocol with sentences that refer to nothing; None where there are none."""
    scored = [(label, under.generalised) for label, under in _labelled(reports) if under.generalised]
    if not scored:
        return None
    blocks = tuple((ScoreLine.of(label, each.measured, counts=(each.targets, each.no_targets)),) for label, each in scored)
    return ScoreTable((*(metric.heading for metric in scored[0][1].measured.metrics), "with target", "without"), blocks, WITHOUT_TARGET)


def families(measurements: Iterable[Sequence[Metric]]) -> list[tuple[Metric, ...]]:
    """The metrics of measurements, in their order: those that every split is scored by, then the generalised ones where there are any."""
    metrics = list(dict.fromkeys(metric for each in measurements for metric in each))
    parted = [tuple(metric for metric in metrics if (metric in GENERALISED) is generalised) for generalised in (False, True)]
    return [family for family in parted if family]


def difference_tables(comparisons: Sequence[Comparison]) -> list[ScoreTable]:
    """A table for each of the `families`: for each split and protocol that has it, both scores and the paired differences."""
    tables = []
    for metrics in families(each.ours.metrics for each in comparisons):
        blocks = tuple(
            (
                ScoreLine.of(f"{each.split} {each.protocol}", replace(each.ours, metrics=metrics)),
                ScoreLine.of("compared with", replace(each.theirs, metrics=metrics), "other"),
                ScoreLine.between(each.differences, metrics),
            )
            for each in comparisons
            if metrics[0] in each.ours.metrics
        )
        tables.append(ScoreTable((*(metric.heading for metric in metrics), "sentences"), blocks, COMPARED))
    return tables


def brief_values(measured: MeasuredScores) -> list[tuple[Metric, float, Interval | None]]:
    """The scores that have a column where room is short, such as those of groups of sentences; the intervals of the main ones."""
    return [
        (metric, measured.scores[metric.name], shown_interval(measured.intervals[metric.name]) if metric.level == "main" else None)
        for metric in measured.metrics
        if metric.level != "full"
    ]


def in_words(reports: Sequence[SplitReport]) -> dict[str, str]:
    """What is compared with what under each protocol, and what each control asks."""
    controls = _first(reports).controls
    return {name: PROTOCOLS[name] for name in reports[0].protocols} | {name: CONTROLS[name] for name in controls}


def attributes_in_words(reports: Sequence[SplitReport]) -> dict[str, str]:
    """What sentences are grouped by."""
    return {attribute: ATTRIBUTES[attribute] for attribute in _first(reports).groups}


def drawn_in_words(scoring: ScoringOptions) -> str:
    """What intervals were made of."""
    return f"{scoring.resampling.resamples:,} resamples of the images, seed {scoring.resampling.seed}"


def empty_in_words(scoring: ScoringOptions) -> str:
    """When a mask says that nothing is there."""
    return f"a mask of fewer than {scoring.empty_below} pixels says that nothing is there"


def _first(reports: Sequence[SplitReport]) -> ProtocolReport:
    return next(iter(reports[0].protocols.values()))


def _labelled(reports: Sequence[SplitReport]) -> Iterator[tuple[str, ProtocolReport]]:
    for each in reports:
        for protocol, under in each.protocols.items():
            yield f"{each.split} {protocol}", under
