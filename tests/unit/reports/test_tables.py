"""Tables are read as text, the way a pipe gets them."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from cmirnet_cli.metrics.scores import Scores
from cmirnet_cli.reports.tables import Counted, CountRow, ScoreRow, count_table, score_table

SCORES = Scores(overall_iou=79.128, mean_iou=77.5, precision=(90.0, 85.0, 70.25, 60.0, 30.0), sentences=10834)
CONTROL = Scores(overall_iou=19.12, mean_iou=80.0, precision=(10.0, 5.0, 0.25, 0.0, 0.0), sentences=10834)


def printed(table: Table, width: int = 80) -> list[list[str]]:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    assert "…" not in file.getvalue()
    return [line.split() for line in file.getvalue().splitlines() if line.strip() and "─" not in line]


def test_a_score_table_has_a_line_for_each_protocol() -> None:
    lines = printed(score_table([ScoreRow("paper", SCORES), ScoreRow("original", CONTROL)], title="refcoco val"))

    assert lines == [
        ["refcoco", "val"],
        ["protocol", "oIoU", "mIoU", "P@.5", "P@.6", "P@.7", "P@.8", "P@.9", "sentences"],
        ["paper", "79.13", "77.50", "90.00", "85.00", "70.25", "60.00", "30.00", "10,834"],
        ["original", "19.12", "80.00", "10.00", "5.00", "0.25", "0.00", "0.00", "10,834"],
    ]


def test_the_control_and_the_difference_stand_under_their_protocol_in_80_columns() -> None:
    _, first, control, difference, second = printed(score_table([ScoreRow("paper", SCORES, CONTROL), ScoreRow("original", SCORES)]))

    assert first[0] == "paper"
    assert control == ["shuffled", "text", "19.12", "80.00", "10.00", "5.00", "0.25", "0.00", "0.00", "10,834"]
    assert difference == ["difference", "+60.01", "-2.50", "+80.00", "+80.00", "+70.00", "+60.00", "+30.00"]
    assert second[0] == "original"


def test_labels_are_shown_as_they_are() -> None:
    assert printed(score_table([ScoreRow("[bold]val", SCORES)], title="[red]x", label="split"))[0] == ["[red]x"]
    assert printed(score_table([ScoreRow("[bold]val", SCORES)], label="split"))[1][0] == "[bold]val"


def test_counts_stand_beside_the_published_ones_and_disagreement_is_said() -> None:
    rows = [
        CountRow("train", Counted(42404, 16994, 120624), Counted(42404, 16994, 120624)),
        CountRow("val", Counted(3811, 1500, 10835), Counted(3811, 1500, 10834)),
        CountRow("test", Counted(5000, 4527, 9000), Counted(5000, 4527, None)),
        CountRow("mine", Counted(3, 2, 9)),
    ]

    assert printed(count_table(rows)) == [
        ["split", "refs", "published", "images", "published", "sentences", "published", "agrees"],
        ["train", "42,404", "42,404", "16,994", "16,994", "120,624", "120,624", "yes"],
        ["val", "3,811", "3,811", "1,500", "1,500", "10,835", "10,834", "no"],
        ["test", "5,000", "5,000", "4,527", "4,527", "9,000", "-", "yes"],
        ["mine", "3", "-", "2", "-", "9", "-", "-"],
    ]


def test_counts_of_a_data_set_of_ones_own_have_no_published_columns() -> None:
    assert printed(count_table([CountRow("train", Counted(10, 5, 30))])) == [
        ["split", "refs", "images", "sentences"],
        ["train", "10", "5", "30"],
    ]
