"""Tables of scores, groups of sentences and histograms as pieces of a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cmirnet_cli.metrics.breakdown import ATTRIBUTES
from cmirnet_cli.metrics.intervals import Interval, MeasuredScores
from cmirnet_cli.metrics.sentences import BINS, SentenceScore, counts_of, iou_bins
from cmirnet_cli.reports.evaluation.score_lines import LABEL, ScoreLine, ScoreTable, brief_values, number
from cmirnet_cli.reports.pages import template
from cmirnet_cli.reports.pages.cards import token
from cmirnet_cli.reports.pages.markup import table, text

HALF = BINS // 2
"""The first step of the histogram that precision@0.5 counts."""


def score_markup(scores: ScoreTable) -> str:
    """A table of scores in percent with both ends of each 95 % interval in brackets below."""
    return table((LABEL, *scores.headings), ("".join(map(_line, block)) for block in scores.blocks))


def group_markup(groups: Mapping[str, Mapping[str, MeasuredScores]]) -> str:
    """A table for each attribute; the name of a group is a button that chooses the group's sentences."""
    return "".join(_attribute(attribute, members) for attribute, members in groups.items())


def histogram_markup(sentences: Sequence[SentenceScore], protocol: str) -> str:
    """How many sentences have which IoU: bars that are buttons and choose the sentences of a step, over an axis from 0 to 1."""
    counts = np.bincount(iou_bins(*counts_of(sentences, protocol)), minlength=BINS).tolist()
    bars = "".join(_bar(protocol, step, count, max(counts)) for step, count in enumerate(counts))
    return template.HISTOGRAM.substitute(label=f"IoU of {len(sentences):,} sentences", bars=bars)


def step_token(protocol: str, step: int) -> str:
    """The group of the sentences whose IoU lies in a step of the histogram."""
    return token(f"iou-{protocol}", str(step))


def _line(line: ScoreLine) -> str:
    values = "".join(_value(shown, interval) for shown, (_, interval) in zip(line.numbers, line.values, strict=True))
    counts = "".join(f"<td>{count:,}</td>" for count in line.counts)
    return f'<tr class="{line.role}"><th scope="row">{text(line.label)}</th>{values}{counts}</tr>'


def _value(shown: str, interval: Interval | None) -> str:
    ends = "" if interval is None or math.isnan(interval.low) else f"<small>[{number(interval.low)}, {number(interval.high)}]</small>"
    return f"<td>{shown}{ends}</td>"


def _attribute(attribute: str, members: Mapping[str, MeasuredScores]) -> str:
    headings = [metric.heading for metric, *_ in brief_values(next(iter(members.values())))]
    return template.GROUP.substitute(
        attribute=text(attribute),
        words=text(ATTRIBUTES[attribute]),
        table=table((attribute, *headings, "sentences"), ["".join(_group(attribute, *each) for each in members.items())]),
    )


def _group(attribute: str, name: str, measured: MeasuredScores) -> str:
    cells = "".join(_value(number(value), interval) for _, value, interval in brief_values(measured))
    chooser = template.PICK.substitute(
        kind="", token=text(token(attribute, name)), label=text(f"{attribute}: {name}"), more="", content=text(name)
    )
    return f'<tr><th scope="row">{chooser}</th>{cells}<td>{measured.scores.sentences:,}</td></tr>'


def _bar(protocol: str, step: int, count: int, most: int) -> str:
    label = f"IoU {step / BINS:.2f} – {(step + 1) / BINS:.2f}"
    said = text(f"{label}: {count:,} {'sentence' if count == 1 else 'sentences'}")
    return template.PICK.substitute(
        kind=" step" if step >= HALF else " step bad",
        token=step_token(protocol, step),
        label=label,
        more=f' title="{said}" aria-label="{said}"' + ("" if count else " disabled"),
        content=f'<b>{f"{count:,}" if count else ""}</b><span style="--share: {count / max(most, 1):.4f}"></span>',
    )
