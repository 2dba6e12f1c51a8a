"""The page of an evaluation: scores, how the IoUs are spread, how they break down by groups, and sentences to look through."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmirnet_cli.metrics.intervals import Interval, MeasuredScores
from cmirnet_cli.metrics.sentences import BINS, SentenceScore, SplitScores, Tally
from cmirnet_cli.metrics.split_report import ScoringOptions, SplitReport
from cmirnet_cli.reports.evaluation import score_lines
from cmirnet_cli.reports.evaluation.cards import FIRST_GOOD_BIN, SentencePictures, bin_token, sentence_card, sentence_entry
from cmirnet_cli.reports.evaluation.comparison import Comparison, change_lines
from cmirnet_cli.reports.evaluation.examples import Examples, choose
from cmirnet_cli.reports.evaluation.score_lines import LABEL, ScoreTable, brief_values, number
from cmirnet_cli.reports.pages.cards import token
from cmirnet_cli.reports.pages.gallery import Choice, Gallery, Order

PICTURES = 300
"""Sentences that are shown with their pictures, shared by up to three splits: browsers bear no ten thousand."""
LEAST = 100
"""Of each split where there are more than three."""
LINES = 20_000
"""Sentences of all splits together that are listed."""
SMALLEST_CARD, SMALLEST_LINE = 2048, 256
"""Bytes."""

ORDERS = (
    Order("worst first", "iou"),
    Order("best first", "iou", falling=True),
    Order("smallest target first", "area"),
    Order("largest target first", "area", falling=True),
    Order("longest sentence first", "words", falling=True),
    Order("by category", "category"),
    Order("by image", "image"),
)


@dataclass(frozen=True)
class Evaluation:
    """What the page is about.

    Attributes:
        title: names the data.
        scored: the splits, each with all its sentences.
        reports: the same splits, measured.
        comparisons: of the same splits with other weights; may be empty.
        scoring: that the reports were made with.
        data: what `scores.json` holds.
    """

    title: str
    scored: Sequence[SplitScores]
    reports: Sequence[SplitReport]
    comparisons: Sequence[Comparison]
    scoring: ScoringOptions
    data: Mapping[str, Any]

    def examples(self) -> dict[str, Examples]:
        """Split → the sentences that are shown with their pictures."""
        return {each.split: choose(each, pictures_of(len(self.scored))) for each in self.scored}

    def listed(self) -> dict[str, Examples]:
        """Split → the sentences that are listed."""
        return {each.split: choose(each, LINES // len(self.scored)) for each in self.scored}


def least_bytes(sentences: Sequence[int]) -> int:
    """Bytes that the page of splits with so many sentences has at least."""
    pictures, lines = pictures_of(len(sentences)), LINES // len(sentences)
    return sum(SMALLEST_CARD * min(count, pictures) + SMALLEST_LINE * min(count, lines) for count in sentences)


def evaluation_page(evaluation: Evaluation, pictures: Iterable[SentencePictures]) -> str:
    """The whole page as HTML; see `Gallery.html`.

    Args:
        evaluation: what it is about.
        pictures: of the sentences that `Evaluation.examples` names, split by split and in their order; consumed one at a time.
    """
    examples, listed = evaluation.examples(), evaluation.listed()
    gallery = Gallery(
        title=f"{evaluation.title}, {evaluation.data['weights']['source']}",
        things="sentences",
        search="words, id, category",
        orders=ORDERS,
        choices=[
            Choice("Split", "split", [each.split for each in evaluation.scored]),
            Choice("Protocol", "protocol", evaluation.scored[0].protocols, sorts=True),
        ],
        about=_about(evaluation, list(_views(evaluation, examples, listed))),
        template="evaluation.html.jinja",
    )
    entries = [
        [sentence_entry(each, place) for each in evaluation.scored for place in some[each.split].places] for some in (examples, listed)
    ]
    return gallery.html((sentence_card(*each) for each in zip(entries[0], pictures, strict=True)), entries[1])


def pictures_of(splits: int) -> int:
    """Sentences of one of so many splits that are shown with their pictures."""
    return max(PICTURES // splits, LEAST)


@dataclass(frozen=True)
class _Line:
    """A line of a table of scores: each as text with the ends of its interval, empty where it has none; `role` as in `ScoreLine`."""

    label: str
    role: str
    values: Sequence[tuple[str, str]]
    counts: Sequence[int]


@dataclass(frozen=True)
class HtmlTable:
    """Scores; the lines of a body belong together."""

    heading: str
    heads: Sequence[str]
    bodies: Sequence[Sequence[_Line]]


@dataclass(frozen=True)
class _Bin:
    """A bin of the histogram: how many sentences it has, and their share of the fullest bin's."""

    token: str
    label: str
    count: int
    share: float
    good: bool

    @property
    def title(self) -> str:
        """What it shows, in words."""
        return f"{self.label}: {self.count:,} {'sentence' if self.count == 1 else 'sentences'}"


@dataclass(frozen=True)
class _Group:
    """A group of sentences: its scores, as text with the ends of their intervals, and how many sentences it has."""

    name: str
    values: Sequence[tuple[str, str]]
    sentences: int


@dataclass(frozen=True)
class _View:
    """What is shown while one split and one protocol are chosen; `groups`: by attribute."""

    when: str
    title: str
    label: str
    bins: Sequence[_Bin]
    hint: str
    groups: Mapping[str, Sequence[_Group]]


@dataclass(frozen=True)
class _About:
    """What stands above the cards; `generalised` and `differences` only where there are any; `headings` are those of groups' scores."""

    scores: HtmlTable
    meanings: Mapping[str, str]
    generalised: HtmlTable | None
    empty_rule: str
    differences: Sequence[HtmlTable]
    changes: Sequence[Sequence[str]]
    headings: Sequence[str]
    views: Sequence[_View]
    attributes: Mapping[str, str]
    metadata: Mapping[str, str]


def _about(evaluation: Evaluation, views: Sequence[_View]) -> _About:
    reports, comparisons = evaluation.reports, evaluation.comparisons
    generalised = score_lines.generalised_table(reports)
    theirs = evaluation.data["comparison"]["with"]["source"] if comparisons else ""
    first = next(iter(reports[0].protocols.values()))
    drawn = f"the {score_lines.INTERVAL} ({score_lines.drawn_in_words(evaluation.scoring)})"
    return _About(
        scores=html_table(score_lines.score_table(reports)),
        meanings={**score_lines.in_words(reports), "in brackets": drawn},
        generalised=html_table(generalised) if generalised else None,
        empty_rule=score_lines.empty_in_words(evaluation.scoring),
        differences=[html_table(each, theirs) for each in score_lines.difference_tables(comparisons)],
        changes=[change_lines(each) for each in comparisons],
        headings=[metric.heading for metric, *_ in brief_values(first.measured)],
        views=views,
        attributes=score_lines.attributes_in_words(reports),
        metadata=settings_in_words(evaluation.data),
    )


def html_table(scores: ScoreTable, more: str = "") -> HtmlTable:
    """A table as the template draws it; `more` goes into its heading."""
    bodies = [
        [
            _Line(
                line.label,
                line.role,
                [(text, _ends(interval)) for text, (_, interval) in zip(line.numbers, line.values, strict=True)],
                line.counts,
            )
            for line in block
        ]
        for block in scores.blocks
    ]
    return HtmlTable(": ".join(filter(None, (scores.title, more))), (LABEL, *scores.headings), bodies)


def _ends(interval: Interval | None) -> str:
    return "" if interval is None or math.isnan(interval.low) else f"[{number(interval.low)}, {number(interval.high)}]"


def _views(evaluation: Evaluation, examples: Mapping[str, Examples], listed: Mapping[str, Examples]) -> Iterator[_View]:
    for scored, measured in zip(evaluation.scored, evaluation.reports, strict=True):
        split, total = scored.split, len(scored.sentences)
        shown = f"With pictures: {examples[split].in_words}. In the list: {listed[split].in_words}."
        for protocol, under in measured.protocols.items():
            yield _View(
                when=f"{token('split', split)} {token('protocol', protocol)}",
                title=f"IoU of the {total:,} sentences of {split}, {protocol}, in percent",
                label=f"IoU of {total:,} sentences",
                bins=_bins(scored.sentences, protocol),
                hint=f"Choose a bar to see its sentences. {shown}",
                groups={attribute: [_group(*each) for each in parts.items()] for attribute, parts in under.groups.items()},
            )


def _bins(sentences: Sequence[SentenceScore], protocol: str) -> list[_Bin]:
    counts = np.bincount(Tally.of(sentences, protocol).bins, minlength=BINS).tolist()
    return [
        _Bin(
            token=bin_token(protocol, place),
            label=f"IoU {100 * place / BINS:.0f} to {100 * (place + 1) / BINS:.0f} %",
            count=count,
            share=count / max(*counts, 1),
            good=place >= FIRST_GOOD_BIN,
        )
        for place, count in enumerate(counts)
    ]


def _group(name: str, measured: MeasuredScores) -> _Group:
    values = [(number(value), _ends(interval)) for _, value, interval in brief_values(measured)]
    return _Group(name, values, measured.scores.sentences)


def settings_in_words(data: Mapping[str, Any]) -> dict[str, str]:
    """All that `scores.json` says beside the scores."""

    def in_one(values: Mapping[str, Any]) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {_in_words(value)}" for name, value in values.items())

    parts = [part for part in ("weights", "data", "settings", "intervals", "libraries") if part in data]
    return {"program": f"cmirnet {data['program']}", **{part: in_one(data[part]) for part in parts}, **data.get("conventions", {})}


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
