"""A new metric is one record: scores, intervals, files, tables, the page and comparisons follow from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from cmirnet_cli.metrics.intervals import Resampling
from cmirnet_cli.metrics.scores import METRICS, Metric
from cmirnet_cli.metrics.sentences import Overlap, SentenceScore, SplitScores
from cmirnet_cli.metrics.split_report import ScoringOptions, report
from cmirnet_cli.reports.evaluation.cards import SentencePictures
from cmirnet_cli.reports.evaluation.comparison import compare, describe_comparison
from cmirnet_cli.reports.evaluation.page import Evaluation, evaluation_page
from cmirnet_cli.reports.evaluation.results import Results, ScoresOrigin, describe
from cmirnet_cli.reports.evaluation.tables import printed

DICE = Metric("dice", "Dice", lambda tally: 2 * tally.intersection, lambda tally: tally.union + tally.intersection, level="main")
SCORING = ScoringOptions(Resampling(resamples=50), metrics=(*METRICS, DICE))

SENTENCES = tuple(SentenceScore(n, n, f"{n}", "the cup", {"paper": Overlap(5 + n, 10, 10)}) for n in range(4))
SPLIT = SplitScores(
    "val", ("paper",), SENTENCES, {"no-image": tuple(replace(one, overlaps={"paper": Overlap(0, 9, 3)}) for one in SENTENCES)}
)
REPORTS = [report(SPLIT, SCORING)]
VALUE = 100 * 2 * 26 / (40 + 26)
"""By hand: the intersections are 5, 6, 7 and 8, each union is 10."""


def test_scores_json_holds_the_new_score_its_interval_and_its_differences() -> None:
    written = describe(REPORTS, SCORING)["splits"]["val"]["paper"]
    low, high = written["interval"]["dice"]
    assert written["dice"] == pytest.approx(VALUE)
    assert low < VALUE < high
    assert written["control"]["no-image"]["dice"] == 0
    assert written["control"]["no-image"]["difference"]["dice"]["value"] == pytest.approx(VALUE)
    assert written["groups"]["length"]["1-2"]["dice"] == pytest.approx(VALUE)


def test_the_terminal_and_the_page_have_a_column_for_it(read_page) -> None:
    console = Console(record=True, width=160)
    for each in printed(REPORTS, [], SCORING, title="drawn", groups=True):
        console.print(each)
    text = console.export_text()
    assert text.count("Dice") == 2, "in the table of splits and in that of groups"
    assert text.count(f"{VALUE:.2f}") == 4, "of the split, what it owes to the image, of its length and of its kind of words"
    run: dict[str, object] = {"weights": {"source": "x"}, "data": {}, "settings": {}, "libraries": {}, "program": "1"}
    evaluation = Evaluation("drawn", [SPLIT], REPORTS, (), SCORING, run | describe(REPORTS, SCORING))
    blank = SentencePictures(np.zeros((16, 16, 3), np.uint8), np.ones((20, 40), bool), np.ones((20, 40), bool))
    page = read_page(evaluation_page(evaluation, [blank] * len(SENTENCES)))
    assert page.text("th").count("Dice") == 3, "in the table of splits, and in one for each attribute"
    assert sum(cell.startswith(f"{VALUE:.2f}") for cell in page.text("td")) == 3


def test_a_comparison_has_it() -> None:
    results = Results(ScoresOrigin("a", "b", "c", 64, ("val",), ("paper",)), {"val": SENTENCES})
    compared = describe_comparison(compare(results, results, SCORING), results.origin)
    assert compared["splits"]["val"]["paper"]["difference"]["dice"]["value"] == 0
