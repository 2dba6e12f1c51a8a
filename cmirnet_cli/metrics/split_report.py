"""All that is said of a split: scores, intervals, what controls leave of them, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cmirnet_cli.metrics.breakdown import groups
from cmirnet_cli.metrics.generalised import EMPTY_BELOW, Generalised, Tally, generalise
from cmirnet_cli.metrics.intervals import Difference, MeasuredScores, Resampling, differences, measure
from cmirnet_cli.metrics.sentences import SplitScores, counts_of


@dataclass(frozen=True)
class Rules:
    """What is a choice: the resampling of intervals, and `generalise`'s rule for empty predictions."""

    resampling: Resampling = field(default_factory=Resampling)
    empty_below: int = EMPTY_BELOW


@dataclass(frozen=True)
class Control:
    """What a control scored, and by how much the split's own questions score more."""

    measured: MeasuredScores
    owed: Mapping[str, Difference]


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


def report(scored: SplitScores, rules: Rules) -> SplitReport:
    """Measure all that is to be said of a split."""
    return SplitReport(scored.split, {protocol: _under(scored, protocol, rules) for protocol in scored.protocols})


def _under(scored: SplitScores, protocol: str, rules: Rules) -> ProtocolReport:
    own, drawn = scored.sentences, rules.resampling
    controls = {
        name: Control(measure(asked, protocol, drawn), differences(own, asked, protocol, drawn)) for name, asked in scored.controls.items()
    }
    grouped = {
        attribute: {name: measure(members, protocol, drawn) for name, members in parts.items()}
        for attribute, parts in groups(own, scored.facts).items()
    }
    return ProtocolReport(measure(own, protocol, drawn), controls, _generalised(scored, protocol, rules), grouped)


def _generalised(scored: SplitScores, protocol: str, rules: Rules) -> Generalised | None:
    nothing = {ref_id for ref_id, facts in scored.facts.items() if not facts.area}
    if not nothing:
        return None
    tally = Tally(
        [sentence.image_id for sentence in scored.sentences],
        np.array([sentence.ref_id in nothing for sentence in scored.sentences]),
        *counts_of(scored.sentences, protocol),
        np.array([sentence.overlaps[protocol].predicted for sentence in scored.sentences], dtype=np.int64),
    )
    return generalise(tally, rules.empty_below, rules.resampling)
