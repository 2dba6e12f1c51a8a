"""All that is known of a split: scores, intervals, what controls leave of them, and how they break down by groups."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from cmirnet_cli.metrics.breakdown import groups
from cmirnet_cli.metrics.intervals import Difference, MeasuredScores, Resampling, differences, score_with_intervals
from cmirnet_cli.metrics.scores import EMPTY_BELOW, GENERALISED, METRICS, Metric
from cmirnet_cli.metrics.sentences import SentenceScore, SplitScores, Tally


@dataclass(frozen=True)
class ScoringOptions:
    """The choices that scores depend on.

    Attributes:
        resampling: of the intervals.
        empty_below: predictions of fewer pixels count as empty in the generalised scores; one without any pixel always does.
        metrics: by which every split is scored.
    """

    resampling: Resampling = field(default_factory=Resampling)
    empty_below: int = EMPTY_BELOW
    metrics: tuple[Metric, ...] = METRICS

    def tally(self, sentences: Sequence[SentenceScore], protocol: str, no_targets: Container[int] = ()) -> Tally:
        """The counts of sentences under one protocol; `no_targets` holds the `ref_id` of those that refer to nothing."""
        return Tally.of(sentences, protocol, no_targets, self.empty_below)

    def metrics_of(self, tally: Tally) -> tuple[Metric, ...]:
        """`metrics`, then `GENERALISED` where a sentence refers to nothing."""
        return (*self.metrics, *GENERALISED) if tally.no_target.any() else self.metrics


@dataclass(frozen=True)
class Control:
    """What a control scored, and by how much the split's own sentences score more."""

    measured: MeasuredScores
    difference: Mapping[str, Difference]


@dataclass(frozen=True)
class Generalised:
    """The generalised scores.

    Attributes:
        measured: `GENERALISED`; NaN where there is no sentence of the kind that a score is about.
        empty_below: the rule they were made with: pixels below which a prediction counted as empty.
        targets: sentences with a target.
        no_targets: sentences without one.
    """

    measured: MeasuredScores
    empty_below: int
    targets: int
    no_targets: int


@dataclass(frozen=True)
class ProtocolReport:
    """A split under one protocol.

    Attributes:
        measured: all its sentences.
        controls: by their names.
        generalised: where the split has sentences that refer to nothing.
        groups: attribute → group → its sentences' scores; see `breakdown`.
    """

    measured: MeasuredScores
    controls: Mapping[str, Control]
    generalised: Generalised | None
    groups: Mapping[str, Mapping[str, MeasuredScores]]


@dataclass(frozen=True)
class SplitReport:
    """A split under each protocol it was scored under."""

    split: str
    protocols: Mapping[str, ProtocolReport]


def report(scored: SplitScores, scoring: ScoringOptions) -> SplitReport:
    """Measure a split under each protocol: all its sentences, each control, each group of sentences."""
    return SplitReport(scored.split, {protocol: _protocol_report(scored, protocol, scoring) for protocol in scored.protocols})


def generalise(tally: Tally, resampling: Resampling) -> Generalised:
    """The generalised scores of a tally's sentences."""
    measured = score_with_intervals(tally, resampling, GENERALISED)
    return Generalised(measured, tally.empty_below, int((~tally.no_target).sum()), int(tally.no_target.sum()))


def _protocol_report(scored: SplitScores, protocol: str, scoring: ScoringOptions) -> ProtocolReport:
    no_targets = scored.no_targets
    how = scoring.resampling, scoring.metrics
    own = scoring.tally(scored.sentences, protocol, no_targets)
    controls = {name: scoring.tally(sentences, protocol, no_targets) for name, sentences in scored.controls.items()}
    return ProtocolReport(
        measured=score_with_intervals(own, *how),
        controls={name: Control(score_with_intervals(tally, *how), differences(own, tally, *how)) for name, tally in controls.items()},
        generalised=generalise(own, scoring.resampling) if own.no_target.any() else None,
        groups={
            attribute: {name: score_with_intervals(scoring.tally(members, protocol, no_targets), *how) for name, members in parts.items()}
            for attribute, parts in groups(scored.sentences, scored.stats).items()
        },
    )
