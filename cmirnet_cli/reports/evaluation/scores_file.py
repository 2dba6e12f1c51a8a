"""`scores.json` and `sentences.jsonl`: what an evaluation found, for programs.

docs/evaluation.md says what each field holds; a test compares it with files that were written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cmirnet_cli.metrics.bootstrap import Interval
from cmirnet_cli.metrics.breakdown import ATTRIBUTES
from cmirnet_cli.metrics.generalised import Generalised
from cmirnet_cli.metrics.intervals import Difference, MeasuredScores
from cmirnet_cli.metrics.scores import CONVENTIONS, PROTOCOLS
from cmirnet_cli.metrics.sentences import CONTROLS, ReferentStats, SentenceScore, SplitScores
from cmirnet_cli.metrics.split_report import Control, ProtocolReport, Rules, SplitReport

INTERVALS = "percentile bootstrap: whole images are drawn with replacement, each with all its sentences"


def describe(reports: Sequence[SplitReport], rules: Rules) -> dict[str, Any]:
    """What the file says beside where weights, data and settings came from: everything in words, and the splits."""
    first = next(iter(reports[0].protocols.values()))
    return {
        "protocols": {protocol: PROTOCOLS[protocol] for protocol in reports[0].protocols},
        "conventions": dict(CONVENTIONS),
        "controls": {control: CONTROLS[control] for control in first.controls},
        "groups": {attribute: ATTRIBUTES[attribute] for attribute in first.groups},
        "intervals": {"method": INTERVALS, "level": 0.95, **asdict(rules.resampling)},
        "splits": {each.split: {protocol: _described_protocol(under) for protocol, under in each.protocols.items()} for each in reports},
    }


def sentence_lines(scored: Sequence[SplitScores]) -> Iterator[str]:
    """The lines of `sentences.jsonl`."""
    for each in scored:
        for sentence in each.sentences:
            line = _identity(each.split, sentence) | _facts(each.facts.get(sentence.ref_id)) | _overlaps(sentence)
            yield json.dumps(line | ({"rle": sentence.rle} if sentence.rle else {}), ensure_ascii=False) + "\n"


def described_measure(measured: MeasuredScores) -> dict[str, Any]:
    """A measurement as plain data."""
    return measured.scores.as_dict() | {"images": measured.images, "interval": _intervals(measured.intervals)}


def described_differences(differences: Mapping[str, Difference]) -> dict[str, Any]:
    """Score → `value`, `low`, `high`."""
    return {
        name: {"value": each.value, "low": _number(each.interval.low), "high": _number(each.interval.high)}
        for name, each in differences.items()
    }


def _described_protocol(under: ProtocolReport) -> dict[str, Any]:
    said = described_measure(under.measured)
    if under.controls:
        said["control"] = {name: _described_control(control) for name, control in under.controls.items()}
    if under.generalised:
        said["generalised"] = _described_generalised(under.generalised)
    said["groups"] = {
        attribute: {name: described_measure(members) for name, members in parts.items()} for attribute, parts in under.groups.items()
    }
    return said


def _described_control(control: Control) -> dict[str, Any]:
    return described_measure(control.measured) | {"difference": described_differences(control.owed)}


def _described_generalised(found: Generalised) -> dict[str, Any]:
    scores = {name: _number(value) for name, value in found.scores.items()}
    counts = {"empty_below": found.empty_below, "targets": found.targets, "no_targets": found.no_targets}
    return scores | {"interval": _intervals(found.intervals)} | counts


def _identity(split: str, sentence: SentenceScore) -> dict[str, Any]:
    ids = {"image_id": sentence.image_id, "ref_id": sentence.ref_id, "sent_id": sentence.sent_id}
    return {"split": split} | ids | {"sentence": sentence.text}


def _facts(facts: ReferentStats | None) -> dict[str, Any]:
    return asdict(facts) if facts else {}


def _overlaps(sentence: SentenceScore) -> dict[str, Any]:
    return {protocol: asdict(overlap) | {"iou": overlap.iou} for protocol, overlap in sentence.overlaps.items()}


def _intervals(intervals: Mapping[str, Interval]) -> dict[str, list[float | None]]:
    return {name: [_number(interval.low), _number(interval.high)] for name, interval in intervals.items()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
