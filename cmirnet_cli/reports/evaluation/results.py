"""The files of an evaluation: written; read again to be compared with, and refused where they are about something else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from cmirnet_cli.errors import DataError, first_line
from cmirnet_cli.files import write_text
from cmirnet_cli.files.checks import require_free
from cmirnet_cli.metrics.breakdown import ATTRIBUTES
from cmirnet_cli.metrics.intervals import LEVEL, Difference, MeasuredScores
from cmirnet_cli.metrics.scores import CONVENTIONS, PROTOCOLS
from cmirnet_cli.metrics.sentences import CONTROLS, Overlap, SentenceScore, SplitScores
from cmirnet_cli.metrics.split_report import ProtocolReport, ScoringOptions, SplitReport

SCORES, SENTENCES, COMPARISON = "scores.json", "sentences.jsonl", "comparison.json"
SCHEMA_VERSION = 1
"""Of `scores.json` and `comparison.json`; grows when a field changes its meaning or goes away."""

INTERVALS = "percentile bootstrap: whole images are drawn with replacement, each with all its sentences"


def describe(reports: Sequence[SplitReport], scoring: ScoringOptions) -> dict[str, Any]:
    """What the file says beside where weights, data and settings came from: everything in words, and the splits."""
    first = next(iter(reports[0].protocols.values()))
    return {
        "metrics": {metric.name: {"heading": metric.heading, "level": metric.level} for metric in scoring.metrics},
        "protocols": {protocol: PROTOCOLS[protocol] for protocol in reports[0].protocols},
        "conventions": dict(CONVENTIONS),
        "controls": {control: CONTROLS[control] for control in first.controls},
        "groups": {attribute: ATTRIBUTES[attribute] for attribute in first.groups},
        "intervals": {"method": INTERVALS, "level": LEVEL, **asdict(scoring.resampling)},
        "splits": {each.split: {protocol: _described_protocol(under) for protocol, under in each.protocols.items()} for each in reports},
    }


def _described_protocol(under: ProtocolReport) -> dict[str, Any]:
    content = described_measure(under.measured)
    if under.controls:
        content["control"] = {
            name: described_measure(control.measured) | {"difference": described_differences(control.difference)}
            for name, control in under.controls.items()
        }
    if (generalised := under.generalised) is not None:
        counts = {"empty_below": generalised.empty_below, "targets": generalised.targets, "no_targets": generalised.no_targets}
        content["generalised"] = _values(generalised.measured) | {"interval": _intervals(generalised.measured)} | counts
    content["groups"] = {
        attribute: {name: described_measure(members) for name, members in parts.items()} for attribute, parts in under.groups.items()
    }
    return content


def described_measure(measured: MeasuredScores) -> dict[str, Any]:
    """A measurement as plain data."""
    counts = {"sentences": measured.scores.sentences, "images": measured.images}
    return _values(measured) | counts | {"interval": _intervals(measured)}


def described_differences(differences: Mapping[str, Difference]) -> dict[str, Any]:
    """Metric's name → `value`, `low`, `high`."""
    return {
        name: {"value": finite(each.value), "low": finite(each.interval.low), "high": finite(each.interval.high)}
        for name, each in differences.items()
    }


def _values(measured: MeasuredScores) -> dict[str, Any]:
    return {name: finite(value) for name, value in measured.scores.values.items()}


def _intervals(measured: MeasuredScores) -> dict[str, list[float | None]]:
    return {name: [finite(interval.low), finite(interval.high)] for name, interval in measured.intervals.items()}


def finite(value: float) -> float | None:
    """A number as JSON has it: null in place of NaN."""
    return None if math.isnan(value) else value


def sentence_lines(scored: Sequence[SplitScores]) -> Iterator[str]:
    """The lines of `sentences.jsonl`."""
    for each in scored:
        for one in each.sentences:
            stats = each.stats.get(one.ref_id)
            line = {"split": each.split, "image_id": one.image_id, "ref_id": one.ref_id, "sent_id": one.sent_id, "sentence": one.text}
            line |= asdict(stats) if stats else {}
            line |= {protocol: asdict(overlap) | {"iou": overlap.iou} for protocol, overlap in one.overlaps.items()}
            yield json.dumps(line | ({"rle": one.rle} if one.rle else {}), ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class ScoresOrigin:
    """What was scored, and how; two evaluations can be compared if all but the weights agree.

    Attributes:
        source: of the weights, as it was named.
        sha256: of the weights.
        data: fingerprint of the prepared cache.
        image_size: side of the network's input in pixels, at which the protocol `paper` compares.
        splits: that were scored.
        protocols: under which they were.
    """

    source: str
    sha256: str
    data: str
    image_size: int
    splits: tuple[str, ...]
    protocols: tuple[str, ...]


@dataclass(frozen=True)
class Results:
    """An evaluation.

    Attributes:
        origin: what was scored, and how.
        sentences: split → every sentence with its counts.
        no_targets: the `ref_id` of those that refer to nothing.
        controls: control → split → every sentence once more; files do not hold them.
    """

    origin: ScoresOrigin
    sentences: Mapping[str, Sequence[SentenceScore]]
    no_targets: frozenset[int] = frozenset()
    controls: Mapping[str, Mapping[str, Sequence[SentenceScore]]] = field(default_factory=dict)


def require_place(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write where an evaluation has written.

    Raises:
        UsageError: one of its files exists and may not be replaced.
    """
    require_free([folder / name for name in (SCORES, SENTENCES, COMPARISON)], overwrite=overwrite)


def write_results(folder: Path, data: Mapping[str, Any], scored: Sequence[SplitScores]) -> list[Path]:
    """Write the results of an evaluation; returns the files.

    What `data` holds under `comparison` goes to a file of its own; where it holds nothing there, an earlier evaluation's is removed.

    Raises:
        CmirnetError: as for `files.new_file`.
    """
    (folder / SCORES).unlink(missing_ok=True)  # so that old scores never stand beside new sentences
    content = {"schema_version": SCHEMA_VERSION, **data}
    comparison = content.pop("comparison", None)
    texts = {SENTENCES: "".join(sentence_lines(scored)), SCORES: _text(content)}
    if comparison is not None:
        texts[COMPARISON] = _text({"schema_version": SCHEMA_VERSION, "comparison": comparison})
    for name, text in texts.items():
        write_text(folder / name, text)
    if COMPARISON not in texts:
        (folder / COMPARISON).unlink(missing_ok=True)
    return [folder / name for name in texts]


def holds_results(path: Path) -> bool:
    """Whether this is a `scores.json` or a folder that holds one."""
    return path.name == SCORES or (path / SCORES).is_file()


def read_results(path: Path) -> Results:
    """Read what `cmirnet eval --out` wrote.

    Args:
        path: a `scores.json`, or its folder; `sentences.jsonl` lies beside it.

    Raises:
        DataError: a file is missing, damaged, or of an older program.
    """
    folder = path.parent if path.name == SCORES else path
    try:
        described = _ScoresFile.model_validate_json((folder / SCORES).read_text(encoding="utf-8"))
        lines = [_SentenceLine.model_validate_json(line) for line in (folder / SENTENCES).read_text(encoding="utf-8").split("\n") if line]
        scored = [(line.split, line.score(described.protocols)) for line in lines]
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        hint = "score those weights again with `cmirnet eval … --out DIR`, or name the weights themselves"
        raise DataError(f"{folder} does not hold the results of an evaluation: {first_line(error)}", hint=hint) from error
    by_split: dict[str, list[SentenceScore]] = {split: [] for split in described.splits}
    for split, sentence in scored:
        by_split.setdefault(split, []).append(sentence)
    return Results(described.origin(), by_split, frozenset(line.ref_id for line in lines if line.no_target))


def require_comparable(ours: ScoresOrigin, theirs: ScoresOrigin) -> None:
    """Refuse to compare numbers that are not about the same thing.

    Raises:
        DataError: the data, the splits, the protocols or the protocol's size differ; says which, and both values.
    """
    if theirs.data != ours.data:
        wrong = f"{theirs.source} was scored on other data: fingerprint {theirs.data[:12]}…, not {ours.data[:12]}…"
        raise DataError(wrong, hint="score both on the same prepared cache")
    for kind, names, others in (("split", ours.splits, theirs.splits), ("protocol", ours.protocols, theirs.protocols)):
        if missing := [name for name in names if name not in others]:
            wrong = f"{theirs.source} was not scored on {kind} {' and '.join(missing)}, only on {' and '.join(others)}"
            raise DataError(wrong, hint=f"choose with --{kind}, or score it again")
    if "paper" in ours.protocols and theirs.image_size != ours.image_size:
        sizes = f"scored at {theirs.image_size} px there and {ours.image_size} px here"
        raise DataError(f"protocol paper: {sizes}", hint="use --protocol original, which does not depend on that size")


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


class _Weights(BaseModel):
    source: str
    sha256: str


class _Data(BaseModel):
    fingerprint: str


class _Settings(BaseModel):
    image_size: int


class _ScoresFile(BaseModel):
    schema_version: int = Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)
    weights: _Weights
    data: _Data
    settings: _Settings
    protocols: dict[str, str]
    splits: dict[str, dict[str, Any]]

    def origin(self) -> ScoresOrigin:
        origin = self.weights.source, self.weights.sha256, self.data.fingerprint, self.settings.image_size
        return ScoresOrigin(*origin, splits=tuple(self.splits), protocols=tuple(self.protocols))


_OVERLAPS = TypeAdapter(dict[str, Overlap])


class _SentenceLine(BaseModel, extra="allow"):
    split: str
    image_id: str
    ref_id: int
    sent_id: int
    sentence: str
    no_target: bool = False

    def score(self, protocols: Iterable[str]) -> SentenceScore:
        """Its counts; a ValidationError if it has none under one of the protocols."""
        overlaps = _OVERLAPS.validate_python({protocol: (self.model_extra or {}).get(protocol) for protocol in protocols})
        return SentenceScore(self.ref_id, self.sent_id, self.image_id, self.sentence, overlaps)
