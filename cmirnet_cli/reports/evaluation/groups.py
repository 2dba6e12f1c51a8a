"""Groups of runs side by side: mean and spread over seeds, intervals over images, differences; for people, programs and papers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cmirnet_cli.metrics.intervals import Difference, Interval, Resampling
from cmirnet_cli.metrics.scores import METRICS, PROTOCOLS, Metric
from cmirnet_cli.metrics.seeds import RunsScores, runs_differences, score_runs
from cmirnet_cli.metrics.sentences import Tally
from cmirnet_cli.reports.evaluation.comparison import matched
from cmirnet_cli.reports.evaluation.results import Results, described_differences, finite, require_comparable
from cmirnet_cli.reports.evaluation.score_lines import INTERVAL, NO_INTERVAL, number, shown_interval
from cmirnet_cli.reports.tables import bare_table


@dataclass(frozen=True)
class RunGroup:
    """Runs of one recipe that differ in their seeds, and what each of them scored; or a single one."""

    name: str
    runs: tuple[Results, ...]


@dataclass(frozen=True)
class GroupLine:
    """What a group scored, and by how much more than the first group; nothing of that in the first group's own line."""

    name: str
    scores: RunsScores
    differences: Mapping[str, Difference]


@dataclass(frozen=True)
class GroupBlock:
    """All groups on one split under one protocol."""

    split: str
    protocol: str
    lines: tuple[GroupLine, ...]


def compare_groups(
    groups: Sequence[RunGroup],
    splits: Sequence[str],
    protocols: Sequence[str],
    resampling: Resampling,
    metrics: Sequence[Metric] = METRICS,
) -> list[GroupBlock]:
    """Put the groups beside each other on each split under each protocol; differences are to the first.

    Raises:
        DataError: the runs were not scored on the same sentences of the same data.
    """
    first = groups[0].runs[0]
    asked = replace(first.origin, splits=tuple(splits), protocols=tuple(protocols))
    for run in (run for group in groups for run in group.runs):
        require_comparable(asked, run.origin)
    blocks = []
    for split in splits:
        sentences = [[matched(split, first.sentences[split], run) for run in group.runs] for group in groups]
        for protocol in protocols:
            tallies = [[Tally.of(run, protocol, first.no_targets) for run in runs] for runs in sentences]
            lines = [
                GroupLine(
                    group.name,
                    score_runs(own, resampling, metrics),
                    runs_differences(own, tallies[0], resampling, metrics) if own is not tallies[0] else {},
                )
                for group, own in zip(groups, tallies, strict=True)
            ]
            blocks.append(GroupBlock(split, protocol, tuple(lines)))
    return blocks


def describe_groups(groups: Sequence[RunGroup], blocks: Sequence[GroupBlock]) -> dict[str, Any]:
    """As plain data: which runs make a group; split → protocol → group → what it scored."""
    splits: dict[str, dict[str, Any]] = {}
    for block in blocks:
        splits.setdefault(block.split, {})[block.protocol] = {line.name: _described_line(line) for line in block.lines}
    runs = {group.name: [{"source": run.origin.source, "sha256": run.origin.sha256} for run in group.runs] for group in groups}
    return {"groups": runs, "differences_to": groups[0].name if len(groups) > 1 else None, "splits": splits}


def printed_groups_of_runs(blocks: Sequence[GroupBlock], *, title: str) -> Iterator[RenderableType]:
    """One table, and what its lines mean."""
    metrics = blocks[0].lines[0].scores.metrics
    table = bare_table(title, "split, protocol", "runs", *(metric.heading for metric in metrics))
    for block in blocks:
        table.add_row(Text(f"{block.split} {block.protocol}", style="bold"))
        for line in block.lines:
            scores = line.scores
            names = [metric.name for metric in metrics]
            table.add_row(Text(line.name), str(len(scores.runs)), *(number(scores.mean(name)) for name in names))
            if len(scores.runs) > 1:
                table.add_row("  ± over seeds", "", *(number(scores.deviation(name)) for name in names), style="dim")
            table.add_row("  ± over images", "", *(number(shown_interval(scores.intervals[name]).margin) for name in names), style="dim")
            if line.differences:
                table.add_row("  difference", "", *(number(line.differences[name].value, "+.2f") for name in names), style="green")
                table.add_row(
                    "  ± over images", "", *(number(shown_interval(line.differences[name].interval).margin) for name in names), style="dim"
                )
        table.add_section()
    yield table
    yield from (f"{name}: {PROTOCOLS[name]}" for name in dict.fromkeys(block.protocol for block in blocks))
    yield from meaning(blocks)


def meaning(blocks: Sequence[GroupBlock]) -> list[str]:
    """What the numbers beside a score say, in sentences."""
    lines = blocks[0].lines
    said = [f"± over images: half of the {INTERVAL}'s width (bootstrap over images, the same ones for all runs)"]
    if any(len(line.scores.runs) > 1 for line in lines):
        said.append("± over seeds: the standard deviation over the runs (n - 1); above it stands their mean")
    if len(lines) > 1:
        said.append(f"difference: to {lines[0].name}, paired by image; its interval does not cover the luck of seeds")
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
    """Headings, then a line for each group and each difference; the split and protocol stand in the first line of a block."""
    metrics = blocks[0].lines[0].scores.metrics
    name_of = _latex if plus_minus != "±" else str
    rows = [["split, protocol", "run", *(metric.heading for metric in metrics)]]
    for block in blocks:
        label = f"{block.split}, {block.protocol}"
        for line in block.lines:
            cells = []
            for metric in metrics:
                spread = line.scores.deviation(metric.name)
                cell = number(line.scores.mean(metric.name)) + ("" if math.isnan(spread) else f" {plus_minus} {spread:.2f}")
                cells.append(cell + (interval(line.scores.intervals[metric.name]) if metric.level == "main" else ""))
            rows.append([label, name_of(line.name), *cells])
            label = ""
            if line.differences:
                gaps = [
                    number(line.differences[metric.name].value, "+.2f")
                    + (interval(line.differences[metric.name].interval) if metric.level == "main" else "")
                    for metric in metrics
                ]
                rows.append(["", f"{indent}difference", *gaps])
    return rows


def _caption(blocks: Sequence[GroupBlock]) -> list[str]:
    lines = blocks[0].lines
    seeds = f"mean {'±'} standard deviation over seeds; " if any(len(line.scores.runs) > 1 for line in lines) else ""
    gap = f" Differences are to {lines[0].name}, paired by image." if len(lines) > 1 else ""
    return [f"In percent: {seeds}in brackets the {INTERVAL} over images (bootstrap).{gap}"]


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
            "mean": scores.mean(metric.name),
            "deviation": finite(spread),
            "interval": [finite(interval.low), finite(interval.high)],
            "runs": [run[metric.name] for run in scores.runs],
        }
    difference = {"difference": described_differences(line.differences)} if line.differences else {}
    return {"scores": content, "sentences": scores.runs[0].sentences} | difference
