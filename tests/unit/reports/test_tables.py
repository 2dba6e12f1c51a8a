"""Tables are read as text, the way a pipe gets them."""

from __future__ import annotations

from cmirnet_cli.reports.tables import Counted, CountRow, count_table
from tests.unit.reports.conftest import words_of


def test_counts_stand_beside_the_published_ones_and_disagreement_is_said() -> None:
    rows = [
        CountRow("train", Counted(42404, 16994, 120624), Counted(42404, 16994, 120624)),
        CountRow("val", Counted(3811, 1500, 10835), Counted(3811, 1500, 10834)),
        CountRow("test", Counted(5000, 4527, 9000), Counted(5000, 4527, None)),
        CountRow("mine", Counted(3, 2, 9)),
    ]

    assert words_of(count_table(rows)) == [
        ["split", "referents", "published", "images", "published", "sentences", "published", "agrees"],
        ["train", "42,404", "42,404", "16,994", "16,994", "120,624", "120,624", "yes"],
        ["val", "3,811", "3,811", "1,500", "1,500", "10,835", "10,834", "no"],
        ["test", "5,000", "5,000", "4,527", "4,527", "9,000", "-", "yes"],
        ["mine", "3", "-", "2", "-", "9", "-", "-"],
    ]


def test_counts_of_a_data_set_of_ones_own_have_no_published_columns() -> None:
    assert words_of(count_table([CountRow("train", Counted(10, 5, 30))])) == [
        ["split", "referents", "images", "sentences"],
        ["train", "10", "5", "30"],
    ]
