"""Two evaluations of the same sentences: what differs, pair by pair, and which sentences changed."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmirnet_cli.errors import DataError
from cmirnet_cli.metrics.intervals import Difference, MeasuredScores, differences, score_with_intervals
from cmirnet_cli.metrics.sentences import SentenceScore
from cmirnet_cli.metrics.split_report import ScoringOptions
from cmirnet_cli.reports.evaluation.results import (
    SENTENCES,
    Results,
    ScoresOrigin,
    described_differences,
    described_measure,
    require_comparable,
)

EXAMPLES = 10
"""How many of the sentences that got better, and of those that got worse, are named."""


@dataclass(frozen=True)
class Change:
    """One sentence scored twice; IoU from 0 to 1."""

    sentence: SentenceScore
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """A split under one protocol, scored twice.

    Attributes:
        ours, theirs: both measurements.
        differences: ours less theirs, by score.
        better, worse, same: how many sentences have a higher, a lower, the same IoU with ours.
        improved, worsened: the sentences whose IoU changed most, the largest change first.
    """

    split: str
    protocol: str
    ours: MeasuredScores
    theirs: MeasuredScores
    differences: Mapping[str, Difference]
    better: int
    worse: int
    same: int
    improved: tuple[Change, ...]
    worsened: tuple[Change, ...]


def compare(ours: Results, theirs: Results, scoring: ScoringOptions) -> list[Comparison]:
    """Compare every split of ours under each of its protocols.

    Raises:
        DataError: as for `require_comparable`, or a sentence is missing from one of the two.
    """
    require_comparable(ours.origin, theirs.origin)
    comparisons = []
    for split, sentences in ours.sentences.items():
        others = matched(split, sentences, theirs)
        comparisons += [_compared(split, protocol, sentences, others, ours.no_targets, scoring) for protocol in ours.origin.protocols]
    return comparisons


def describe_comparison(comparisons: Sequence[Comparison], theirs: ScoresOrigin) -> dict[str, Any]:
    """As plain data: whom we are compared with; split → protocol → what differs."""
    splits: dict[str, dict[str, Any]] = {}
    for each in comparisons:
        splits.setdefault(each.split, {})[each.protocol] = {
            "ours": described_measure(each.ours),
            "theirs": described_measure(each.theirs),
            "difference": described_differences(each.differences),
            "sentences": {"better": each.better, "worse": each.worse, "same": each.same},
            "improved": [_described_change(one) for one in each.improved],
            "worsened": [_described_change(one) for one in each.worsened],
        }
    return {"with": {"source": theirs.source, "sha256": theirs.sha256}, "splits": splits}


def change_lines(each: Comparison) -> list[str]:
    """What became of the sentences, in words: how many changed, and those that changed most."""
    counts = f"better {each.better:,}, worse {each.worse:,}, the same {each.same:,}"
    lines = [f"{each.split} {each.protocol}, sentences: {counts}"]
    for title, changes in (("better", each.improved), ("worse", each.worsened)):
        lines += [f"  {title} {100 * one.before:.1f} → {100 * one.after:.1f}  {_named(one.sentence)}" for one in changes]
    return lines


def matched(split: str, sentences: Sequence[SentenceScore], theirs: Results) -> list[SentenceScore]:
    """Their score of each of our sentences, in our order."""
    known = {(other.ref_id, other.sent_id): other for other in theirs.sentences[split]}
    missing = [each for each in sentences if (each.ref_id, each.sent_id) not in known]
    if missing or len(known) != len(sentences):
        which = f"lacks {_named(missing[0])}" if missing else f"has {len(known):,} sentences, not {len(sentences):,}"
        raise DataError(f"{split} of {theirs.origin.source} {which}", hint=f"its {SENTENCES} was cut or edited: score it again")
    return [known[each.ref_id, each.sent_id] for each in sentences]


def _compared(
    split: str,
    protocol: str,
    ours: Sequence[SentenceScore],
    theirs: Sequence[SentenceScore],
    no_targets: Container[int],
    scoring: ScoringOptions,
) -> Comparison:
    changes = [Change(a, b.overlaps[protocol].iou, a.overlaps[protocol].iou) for a, b in zip(ours, theirs, strict=True)]
    changes.sort(key=lambda one: -abs(one.after - one.before))
    improved = [one for one in changes if one.after > one.before]
    worsened = [one for one in changes if one.after < one.before]
    own, other = (scoring.tally(sentences, protocol, no_targets) for sentences in (ours, theirs))
    how = scoring.resampling, scoring.metrics_of(own)
    return Comparison(
        split,
        protocol,
        score_with_intervals(own, *how),
        score_with_intervals(other, *how),
        differences(own, other, *how),
        better=len(improved),
        worse=len(worsened),
        same=len(changes) - len(improved) - len(worsened),
        improved=tuple(improved[:EXAMPLES]),
        worsened=tuple(worsened[:EXAMPLES]),
    )


def _described_change(one: Change) -> dict[str, Any]:
    ids = {"image_id": one.sentence.image_id, "ref_id": one.sentence.ref_id, "sent_id": one.sentence.sent_id}
    return ids | {"sentence": one.sentence.text, "before": one.before, "after": one.after}


def _named(sentence: SentenceScore) -> str:
    return f"{json.dumps(sentence.text, ensure_ascii=False)} (sentence {sentence.sent_id}, image {sentence.image_id})"
