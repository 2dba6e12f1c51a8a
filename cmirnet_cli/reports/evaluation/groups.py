"""Groups of runs side by side: mean and spread over seeds, intervals over images, differences; for people, programs and papers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import RenderableType

from cmirnet_cli.metrics.intervals import Difference, Interval
from cmirnet_cli.metrics.scores import GENERALISED, PROTOCOLS, Metric
from cmirnet_cli.metrics.seeds import RunsScores, runs_differences, score_runs
from cmirnet_cli.metrics.sentences import CONTROLS, SentenceScore, Tally
from cmirnet_cli.metrics.split_report import ScoringOptions
from cmirnet_cli.reports.evaluation.comparison import matched
from cmirnet_cli.reports.evaluation.results import Results, described_differences, finite, require_comparable
from cmirnet_cli.reports.evaluation.score_lines import (
    INTERVAL,
    NO_INTERVAL,
    WITHOUT_TARGET,
    Role,
    ScoreLine,
    ScoreTable,
    empty_in_words,
    families,
    number,
    shown_interval,
)
from cmirnet_cli.reports.evaluation.tables import printed_scores


@dataclass(frozen=True)
class RunGroup:
    """Runs of one recipe that differ in their seeds, and what each of them scored; or a single one."""

    name: str
    runs: tuple[Results, ...]


@dataclass(frozen=True)
class GroupLine:
    """What a group scored, or what a control left of it.

    Attributes:
        name: of the group or the control.
        scores: of its runs.
        differences: by how much the group scores more than the first one; of a control, by how much the group scores more without it.
            Empty in the first group's own line.
        controls: a line for each control of the group.
    """

    name: str
    scores: RunsScores
    differences: Mapping[str, Difference]
    controls: tuple[GroupLine, ...] = ()


@dataclass(frozen=True)
class GroupBlock:
    """All groups on one split under one protocol."""

    split: str
    protocol: str
    lines: tuple[GroupLine, ...]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """By which all of them were scored."""
        return self.lines[0].scores.metrics


def compare_groups(
    groups: Sequence[RunGroup], splits: Sequence[str], protocols: Sequence[str], scoring: ScoringOptions
) -> list[GroupBlock]:
    """Put the groups beside each other on each split under each protocol; differences are to the first.

    Raises:
        DataError: the runs were not scored on the same sentences of the same data.
    """
    first = groups[0].runs[0]
    asked = replace(first.origin, splits=tuple(splits), protocols=tuple(protocols))
    for run in (run for group in groups for run in group.runs):
        require_comparable(asked, run.origin)
    return [_block(groups, split, protocol, scoring) for split in splits for protocol in protocols]


def _block(groups: Sequence[RunGroup], split: str, protocol: str, scoring: ScoringOptions) -> GroupBlock:
    first = groups[0].runs[0]

    def tally(sentences: Sequence[SentenceScore]) -> Tally:
        return scoring.tally(sentences, protocol, first.no_targets)

    runs = [[tally(matched(split, first.sentences[split], run)) for run in group.runs] for group in groups]
    how = scoring.resampling, scoring.metrics_of(runs[0][0])
    lines = []
    for group, own in zip(groups, runs, strict=True):
        left = {name: [tally(run.controls[name][split]) for run in group.runs] for name in group.runs[0].controls}
        controls = tuple(GroupLine(name, score_runs(each, *how), runs_differences(own, each, *how)) for name, each in left.items())
        differences = {} if own is runs[0] else runs_differences(own, runs[0], *how)
        lines.append(GroupLine(group.name, score_runs(own, *how), differences, controls))
    return GroupBlock(split, protocol, tuple(lines))


def describe_groups(groups: Sequence[RunGroup], blocks: Sequence[GroupBlock]) -> dict[str, Any]:
    """As plain data: which runs make a group; split → protocol → group → what it scored."""
    splits: dict[str, dict[str, Any]] = {}
    for block in blocks:
        splits.setdefault(block.split, {})[block.protocol] = {line.name: _described_line(line) for line in block.lines}
    runs = {group.name: [{"source": run.origin.source, "sha256": run.origin.sha256} for run in group.runs] for group in groups}
    return {"groups": runs, "differences_to": groups[0].name if len(groups) > 1 else None, "splits": splits}


def group_tables(blocks: Sequence[GroupBlock]) -> list[ScoreTable]:
    """A table for each of the `families` of metrics; each split and protocol that has it, and what each group scored."""
    return [
        ScoreTable(
            (*(metric.heading for metric in metrics), "runs"),
            tuple(
                (
                    ScoreLine(f"{block.split} {block.protocol}", ()),
                    *(each for line in block.lines for each in _score_lines(line, metrics)),
                )
                for block in blocks
                if metrics[0] in block.metrics
            ),
            WITHOUT_TARGET if metrics[0] in GENERALISED else "",
        )
        for metrics in families(block.metrics for block in blocks)
    ]


def _score_lines(line: GroupLine, metrics: Sequence[Metric], indent: str = "", role: Role = "own") -> Iterator[ScoreLine]:
    """The lines of a group, those of its controls last and further in."""
    scores = line.scores
    means = ((scores.mean(metric.name), shown_interval(scores.intervals[metric.name])) for metric in metrics)
    yield ScoreLine(indent + line.name, tuple(means), (len(scores.runs),), role)
    if len(scores.runs) > 1:
        yield ScoreLine(f"{indent}  ± over seeds", tuple((scores.deviation(metric.name), NO_INTERVAL) for metric in metrics), role="spread")
    if line.differences:
        yield replace(ScoreLine.between(line.differences, metrics), label=f"{indent}  difference")
    for control in line.controls:
        yield from _score_lines(control, metrics, indent + "  ", "other")


def printed_groups_of_runs(blocks: Sequence[GroupBlock], scoring: ScoringOptions, *, title: str) -> Iterator[RenderableType]:
    """The tables, and what their lines mean."""
    for table in group_tables(blocks):
        yield printed_scores(table, title=title)
    yield from meaning(blocks, scoring)


def meaning(blocks: Sequence[GroupBlock], scoring: ScoringOptions, interval: str = f"±: half of the {INTERVAL}'s width") -> list[str]:
    """What the protocols, the controls, and the numbers beside a score say, in sentences; `interval` says how intervals are shown."""
    lines = blocks[0].lines
    said = [f"{name}: {PROTOCOLS[name]}" for name in dict.fromkeys(block.protocol for block in blocks)]
    said += [f"{control.name}: {CONTROLS[control.name]}" for control in lines[0].controls]
    if any(metric in GENERALISED for block in blocks for metric in block.metrics):
        said.append(f"{GENERALISED[0].heading} and the others: {empty_in_words(scoring)}")
    said.append(f"{interval} (bootstrap over images, the same ones for all runs)")
    if any(len(line.scores.runs) > 1 for line in lines):
        said.append("± over seeds: the standard deviation over the runs (n - 1); above it stands their mean")
    if len(lines) > 1:
        said.append(f"difference: to {lines[0].name}, paired by image; its interval does not cover the luck of seeds")
    if lines[0].controls:
        said.append("difference below a control: the group's own score less the control's")
    return said


def markdown_table(blocks: Sequence[GroupBlock]) -> str:
    """The table as Markdown: mean ± standard deviation over seeds, and the interval over images of the main scores."""
    rows = [[_markdown_cell(cell) for cell in row] for row in _paper_rows(blocks, "±", _plain_interval, "– ")]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    ruler = "|" + "|".join("-" * (width + 1) + (":" if column > 1 else "-") for column, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], ruler, *lines[1:], "", *_caption(blocks)])


def latex_table(blocks: Sequence[GroupBlock]) -> str:
    """The table as LaTeX with booktabs, as `markdown_table`."""
    head, *rows = _paper_rows(blocks, r"$\pm$", _small_interval, r"\quad ")
    lines = [rf"\begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}", r"\toprule", " & ".join(head) + r" \\"]
    for row in rows:
        lines += [r"\midrule"] if row[0] else []
        lines.append(" & ".join([_latex(row[0]), row[1], *row[2:]]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *(f"% {line}" for line in _caption(blocks))])


def _paper_rows(blocks: Sequence[GroupBlock], plus_minus: str, interval: Any, indent: str) -> list[list[str]]:
    """Headings, then the rows of each line; the split and protocol stand in the first row of a block."""
    metrics = [metric for family in families(block.metrics for block in blocks) for metric in family]
    name_of = _latex if plus_minus != "±" else str
    rows = [["split, protocol", "run", *(metric.heading for metric in metrics)]]

    def add(line: GroupLine, label: str = "", before: str = "") -> None:
        scores, known = line.scores, line.scores.metrics

        def cells(cell: Callable[[str], str], intervals: Mapping[str, Interval]) -> list[str]:
            shown = {each.name: cell(each.name) + (interval(intervals[each.name]) if each.level == "main" else "") for each in known}
            return [shown.get(metric.name, number(math.nan)) for metric in metrics]

        def score(name: str) -> str:
            spread = scores.deviation(name)
            return number(scores.mean(name)) + ("" if math.isnan(spread) else f" {plus_minus} {spread:.2f}")

        rows.append([label, before + name_of(line.name), *cells(score, scores.intervals)])
        if gaps := line.differences:
            intervals = {name: gap.interval for name, gap in gaps.items()}
            rows.append(["", f"{indent}{before}difference", *cells(lambda name: number(gaps[name].value, "+.2f"), intervals)])
        for control in line.controls:
            add(control, before=indent)

    for block in blocks:
        for place, line in enumerate(block.lines):
            add(line, "" if place else f"{block.split}, {block.protocol}")
    return rows


def _caption(blocks: Sequence[GroupBlock]) -> list[str]:
    lines = blocks[0].lines
    seeds = "mean ± standard deviation over seeds; " if any(len(line.scores.runs) > 1 for line in lines) else ""
    gap = f" Differences are to {lines[0].name}, paired by image." if len(lines) > 1 else ""
    left = " Those below a control are the group's own score less the control's." if lines[0].controls else ""
    return [f"In percent: {seeds}in brackets the {INTERVAL} over images (bootstrap).{gap}{left}"]


def _plain_interval(interval: Interval) -> str:
    return "" if shown_interval(interval) is NO_INTERVAL else f" [{number(interval.low)}, {number(interval.high)}]"


def _small_interval(interval: Interval) -> str:
    brackets = _plain_interval(interval).strip()
    return rf" {{\scriptsize {brackets}}}" if brackets else ""


def _markdown_cell(text: str) -> str:
    return text.replace("|", r"\|")


_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {each: rf"\{each}" for each in "&%$#_{}"}


def _latex(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _LATEX[found[0]], text)


def _described_line(line: GroupLine) -> dict[str, Any]:
    scores, content = line.scores, {}
    for metric in scores.metrics:
        spread, interval = scores.deviation(metric.name), scores.intervals[metric.name]
        content[metric.name] = {
            "mean": finite(scores.mean(metric.name)),
            "deviation": finite(spread),
            "interval": [finite(interval.low), finite(interval.high)],
            "runs": [finite(run[metric.name]) for run in scores.runs],
        }
    described: dict[str, Any] = {"scores": content, "sentences": scores.runs[0].sentences}
    if line.differences:
        described["difference"] = described_differences(line.differences)
    if line.controls:
        described["control"] = {control.name: _described_line(control) for control in line.controls}
    return described
