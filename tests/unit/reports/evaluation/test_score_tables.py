"""Tables of scores are read as text, the way a pipe gets them."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console
from rich.table import Table

from cmirnet_cli.metrics.generalised import GENERALISED, Generalised
from cmirnet_cli.metrics.intervals import Difference, Interval, MeasuredScores
from cmirnet_cli.metrics.scores import SCORES, Scores
from cmirnet_cli.metrics.split_report import Control
from cmirnet_cli.reports.evaluation.score_lines import GENERALISED_HEADS, DifferenceRow, GeneralisedRow, GroupRow, ScoreRow
from cmirnet_cli.reports.evaluation.tables import group_table, score_table

OWN = Scores(overall_iou=79.128, mean_iou=77.5, precision=(90.0, 85.0, 70.25, 60.0, 30.0), sentences=10834)
OTHER = Scores(overall_iou=19.12, mean_iou=80.0, precision=(10.0, 5.0, 0.25, 0.0, 0.0), sentences=10834)


def measured(scores: Scores, margin: float = 1.5) -> MeasuredScores:
    pairs = zip(SCORES, scores.percentages, strict=True)
    return MeasuredScores(scores, 1500, {name: Interval(value - margin, value + margin) for name, value in pairs})


def owed() -> dict[str, Difference]:
    gaps = [a - b for a, b in zip(OWN.percentages, OTHER.percentages, strict=True)]
    return {name: Difference(gap, Interval(gap - 0.25, gap + 0.25)) for name, gap in zip(SCORES, gaps, strict=True)}


def printed(table: Table, width: int = 80) -> list[list[str]]:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    assert "…" not in file.getvalue()
    return [line.split() for line in file.getvalue().splitlines() if line.strip() and "─" not in line]


MARGINS = ["±", *["1.50"] * 7]


def test_a_score_table_has_a_line_for_each_protocol_and_half_the_interval_below() -> None:
    lines = printed(
        score_table([ScoreRow("paper", measured(OWN)), ScoreRow("original", measured(OTHER))], title="refcoco val", label="protocol")
    )
    assert lines == [
        ["refcoco", "val"],
        ["protocol", "oIoU", "mIoU", "P@.5", "P@.6", "P@.7", "P@.8", "P@.9", "sentences"],
        ["paper", "79.13", "77.50", "90.00", "85.00", "70.25", "60.00", "30.00", "10,834"],
        MARGINS,
        ["original", "19.12", "80.00", "10.00", "5.00", "0.25", "0.00", "0.00", "10,834"],
        MARGINS,
    ]


def test_controls_and_differences_stand_under_their_protocol_in_80_columns() -> None:
    controls = {"shuffled-text": Control(measured(OTHER), owed())}
    lines = printed(
        score_table([ScoreRow("testA original", measured(OWN), controls), ScoreRow("paper", measured(OWN))], title="x", label="protocol")
    )[1:]
    assert [line[0] for line in lines] == ["protocol", "testA", "±", "shuffled-text", "±", "difference", "±", "paper", "±"]
    assert lines[3] == ["shuffled-text", "19.12", "80.00", "10.00", "5.00", "0.25", "0.00", "0.00", "10,834"]
    assert lines[5] == ["difference", "+60.01", "-2.50", "+80.00", "+80.00", "+70.00", "+60.00", "+30.00"]
    assert lines[6] == ["±", *["0.25"] * 7]


def test_labels_are_shown_as_they_are() -> None:
    lines = printed(score_table([ScoreRow("[bold]val", measured(OWN))], title="[red]x", label="split"))
    assert (lines[0], lines[2][0]) == (["[red]x"], "[bold]val")


def test_a_comparison_shows_both_and_the_difference_in_80_columns() -> None:
    lines = printed(score_table([DifferenceRow("val paper", measured(OWN), measured(OTHER), owed())], title="x", label="protocol"))[1:]
    assert [" ".join(line[:3]) for line in lines[1:6:2]] == ["val paper 79.13", "compared with 19.12", "difference +60.01 -2.50"]


def test_shares_of_sentences_that_are_not_there_are_a_dash() -> None:
    scores = dict(zip(GENERALISED, (50.0, 40.0, math.nan, 100.0), strict=True))
    found = Generalised(scores, {name: Interval(math.nan, math.nan) for name in GENERALISED}, 50, 12, 0)
    lines = printed(score_table([GeneralisedRow("val", found)], GENERALISED_HEADS, title="x", label="protocol"))[1:]
    assert lines[1:] == [
        ["val", "50.00", "40.00", "-", "100.00", "12", "0"],
        ["±", *"----"],
    ]


@pytest.mark.parametrize("width", [80, 240])
def test_groups_name_their_attribute_once(width: int) -> None:
    rows = [GroupRow("size", "small", measured(OTHER)), GroupRow("size", "large", measured(OWN)), GroupRow("words", "x", measured(OWN))]
    lines = printed(group_table(rows, title="val"), width)
    assert lines[2:] == [
        ["size", "small", "19.12", "1.50", "80.00", "1.50", "10.00", "10,834"],
        ["large", "79.13", "1.50", "77.50", "1.50", "90.00", "10,834"],
        ["words", "x", "79.13", "1.50", "77.50", "1.50", "90.00", "10,834"],
    ]
