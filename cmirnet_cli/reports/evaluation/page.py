"""The page of an evaluation: scores, how the IoUs are spread, where they come from, and sentences to look through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmirnet_cli.metrics.sentences import SplitScores
from cmirnet_cli.metrics.split_report import Rules, SplitReport
from cmirnet_cli.reports.evaluation import score_lines as said
from cmirnet_cli.reports.evaluation.cards import ScoredSentence, SentencePictures, card, line
from cmirnet_cli.reports.evaluation.comparison import Comparison, change_lines
from cmirnet_cli.reports.evaluation.examples import Examples, choose
from cmirnet_cli.reports.evaluation.score_markup import group_markup, histogram_markup, score_markup
from cmirnet_cli.reports.pages import template
from cmirnet_cli.reports.pages.cards import Card, ListItem, seen_when, token
from cmirnet_cli.reports.pages.gallery import PHOTOGRAPHS, Choice, Gallery, Order
from cmirnet_cli.reports.pages.markup import definitions, text

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
        rules: that the reports were made with.
        data: what `scores.json` holds.
    """

    title: str
    scored: Sequence[SplitScores]
    reports: Sequence[SplitReport]
    comparisons: Sequence[Comparison]
    rules: Rules
    data: Mapping[str, Any]

    def examples(self) -> dict[str, Examples]:
        """Split → the sentences that are shown with their pictures."""
        return self._chosen(_pictures(len(self.scored)))

    def listed(self) -> dict[str, Examples]:
        """Split → the sentences that are listed."""
        return self._chosen(LINES // len(self.scored))

    def _chosen(self, limit: int) -> dict[str, Examples]:
        return {each.split: choose(each, limit) for each in self.scored}


def least_bytes(sentences: Sequence[int]) -> int:
    """Bytes that the page of splits with so many sentences has at least."""
    pictures, lines = _pictures(len(sentences)), LINES // len(sentences)
    return sum(SMALLEST_CARD * min(count, pictures) + SMALLEST_LINE * min(count, lines) for count in sentences)


def evaluation_page(evaluation: Evaluation, shots: Iterable[SentencePictures]) -> str:
    """The whole page as HTML; see `Gallery.html`.

    Args:
        evaluation: what it is about.
        shots: pictures of the sentences that `Evaluation.examples` names, split by split and in their order; consumed one at a time.
    """
    choices = [
        Choice("Split", "split", [each.split for each in evaluation.scored]),
        Choice("Protocol", "protocol", evaluation.scored[0].protocols, sorts=True),
    ]
    examples, listed = evaluation.examples(), evaluation.listed()
    about = _about(evaluation, examples, listed)
    title = f"{evaluation.title}, {evaluation.data['weights']['source']}"
    gallery = Gallery(title, "sentences", "words, id, category", ORDERS, about, PHOTOGRAPHS, choices)
    return gallery.html(_cards(evaluation, examples, shots), _lines(evaluation, examples, listed))


def _pictures(splits: int) -> int:
    """Sentences of one of so many splits that are shown with their pictures."""
    return max(PICTURES // splits, LEAST)


def _cards(evaluation: Evaluation, examples: Mapping[str, Examples], shots: Iterable[SentencePictures]) -> Iterator[Card]:
    judged = (ScoredSentence.of(each, place) for each in evaluation.scored for place in examples[each.split].chosen)
    return (card(one, shot) for one, shot in zip(judged, shots, strict=True))


def _lines(evaluation: Evaluation, examples: Mapping[str, Examples], listed: Mapping[str, Examples]) -> Iterator[ListItem]:
    for each in evaluation.scored:
        pictured = set(examples[each.split].chosen)
        for place in listed[each.split].chosen:
            yield line(ScoredSentence.of(each, place), pictured=place in pictured)


def _about(evaluation: Evaluation, examples: Mapping[str, Examples], listed: Mapping[str, Examples]) -> str:
    attributes = said.attributes_in_words(evaluation.reports)
    return template.REPORT.substitute(
        scores=_scores(evaluation),
        histograms="".join(_histograms(evaluation, examples, listed)),
        grouped=text(f"Scores by {', '.join(attributes)}"),
        groups="".join(_groups(evaluation.reports)) + definitions(attributes),
        facts=definitions(_facts(evaluation.data)),
    )


def _scores(evaluation: Evaluation) -> str:
    """Every table of scores, with what is to be known about it below."""
    reports = evaluation.reports
    words = {**said.in_words(reports), "in brackets": f"the 95 % interval ({said.drawn_in_words(evaluation.rules)})"}
    parts = [score_markup(said.score_table(reports)), definitions(words)]
    if generalised := said.generalised_table(reports):
        parts += [_heading(said.WITHOUT_TARGET), score_markup(generalised)]
        parts += [_paragraph(said.empty_in_words(evaluation.rules))]
    if evaluation.comparisons:
        parts += [_heading(f"{said.COMPARED}: {evaluation.data['comparison']['with']['source']}")]
        parts += [score_markup(said.difference_table(evaluation.comparisons))]
        parts += [_changes(each) for each in evaluation.comparisons]
    return "\n".join(parts)


def _histograms(evaluation: Evaluation, examples: Mapping[str, Examples], listed: Mapping[str, Examples]) -> Iterator[str]:
    for each in evaluation.scored:
        shown = f"With pictures: {examples[each.split].in_words}. In the list: {listed[each.split].in_words}."
        for protocol in each.protocols:
            yield template.HISTOGRAM_SECTION.substitute(
                when=_seen(each.split, protocol),
                title=text(f"IoU of the {len(each.sentences):,} sentences of {each.split}, {protocol}"),
                histogram=histogram_markup(each.sentences, protocol),
                hint=text(f"Choose a bar to see its sentences. {shown}"),
            )


def _groups(reports: Sequence[SplitReport]) -> Iterator[str]:
    for each in reports:
        for protocol, under in each.protocols.items():
            yield template.GROUPS_SECTION.substitute(when=_seen(each.split, protocol), groups=group_markup(under.groups))


def _seen(split: str, protocol: str) -> str:
    return seen_when(f"{token('split', split)} {token('protocol', protocol)}")


def _facts(data: Mapping[str, Any]) -> dict[str, str]:
    """All that `scores.json` says beside the scores."""
    parts = ("weights", "data", "settings", "intervals", "libraries")
    return {"program": f"cmirnet {data['program']}", **{part: _in_one(data[part]) for part in parts}, **data["conventions"]}


def _in_one(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_one_value(value)}" for name, value in values.items())


def _one_value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _changes(comparison: Comparison) -> str:
    first, *examples = change_lines(comparison)
    lines = "".join(f'<li dir="auto">{text(each)}</li>' for each in examples)
    return f"<details><summary>{text(first)}</summary><ul>{lines}</ul></details>"


def _heading(content: str) -> str:
    return f"<h2>{text(content)}</h2>"


def _paragraph(content: str) -> str:
    return f'<p class="hint">{text(content)}</p>'
