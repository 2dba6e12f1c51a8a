"""Tables of scores for any medium: what stands in each line, with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cmirnet_cli.metrics.generalised import GENERALISED, Generalised
from cmirnet_cli.metrics.intervals import Difference, Interval, MeasuredScores
from cmirnet_cli.metrics.scores import TENTHS
from cmirnet_cli.metrics.split_report import Control

Role = Literal["own", "other", "difference"]
"""Whether a line holds the scores that the table is about, others that stand beside them, or what differs."""


@dataclass(frozen=True)
class Heads:
    """What stands above the columns of a table of scores: names of scores, and of counts."""

    scores: tuple[str, ...]
    counts: tuple[str, ...]


SCORE_HEADS = Heads(("oIoU", "mIoU", *(f"P@.{tenths}" for tenths in TENTHS)), ("sentences",))
GENERALISED_HEADS = Heads(GENERALISED, ("with target", "without"))


@dataclass(frozen=True)
class ScoreRow:
    """What was scored, and what it scored; more lines show each control and the difference to it."""

    label: str
    measured: MeasuredScores
    controls: Mapping[str, Control] = field(default_factory=dict)


@dataclass(frozen=True)
class DifferenceRow:
    """What was compared: both scores and the paired differences."""

    label: str
    ours: MeasuredScores
    theirs: MeasuredScores
    differences: Mapping[str, Difference]


@dataclass(frozen=True)
class GeneralisedRow:
    """What was scored, and what it scored where sentences that refer to nothing count as well."""

    label: str
    found: Generalised


@dataclass(frozen=True)
class GroupRow:
    """A group of sentences by an attribute."""

    attribute: str
    group: str
    measured: MeasuredScores


Row = ScoreRow | DifferenceRow | GeneralisedRow


@dataclass(frozen=True)
class ScoreLine:
    """One line: scores in percent (or differences in points) with their intervals, in the order of the heads, and counts behind them."""

    label: str
    values: tuple[tuple[float, Interval], ...]
    counts: tuple[int, ...]
    role: Role = "own"

    @property
    def numbers(self) -> list[str]:
        """The values as text, differences with their sign."""
        return [number(value, "+.2f" if self.role == "difference" else ".2f") for value, _ in self.values]


def number(value: float, form: str = ".2f") -> str:
    """A score as text; a dash where there is none."""
    return "-" if math.isnan(value) else format(value, form)


def lines_of(row: Row) -> Iterator[ScoreLine]:
    """The lines of one row, which belong together."""
    if isinstance(row, GeneralisedRow):
        yield _generalised(row)
    elif isinstance(row, DifferenceRow):
        yield _measured(row.label, row.ours)
        yield _measured("compared with", row.theirs, "other")
        yield _differences(row.differences)
    else:
        yield _measured(row.label, row.measured)
        for name, control in row.controls.items():
            yield _measured(name, control.measured, "other")
            yield _differences(control.owed)


def _measured(label: str, measured: MeasuredScores, role: Role = "own") -> ScoreLine:
    values = zip(measured.scores.percentages, measured.intervals.values(), strict=True)
    return ScoreLine(label, tuple(values), (measured.scores.sentences,), role)


def _differences(differences: Mapping[str, Difference]) -> ScoreLine:
    return ScoreLine("difference", tuple((each.value, each.interval) for each in differences.values()), (), "difference")


def _generalised(row: GeneralisedRow) -> ScoreLine:
    found = row.found
    values = tuple((found.scores[name], found.intervals[name]) for name in GENERALISED)
    return ScoreLine(row.label, values, (found.targets, found.no_targets))
