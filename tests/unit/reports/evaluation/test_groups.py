"""Runs side by side, in every form, with numbers that are counted by hand."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from cmirnet_cli.errors import DataError
from cmirnet_cli.metrics.intervals import Resampling
from cmirnet_cli.metrics.scores import METRICS, Metric
from cmirnet_cli.metrics.sentences import Overlap, SentenceScore
from cmirnet_cli.metrics.split_report import ScoringOptions
from cmirnet_cli.reports.evaluation.groups import (
    RunGroup,
    compare_groups,
    describe_groups,
    latex_table,
    markdown_table,
    printed_groups_of_runs,
)
from cmirnet_cli.reports.evaluation.results import Results, ScoresOrigin

FEW = ScoringOptions(Resampling(resamples=50), empty_below=20)


def run(source: str, *inside: int, data: str = "data") -> Results:
    """One sentence of each of several images: so many of 100 pixels are found."""
    sentences = [
        SentenceScore(place, place, f"{place}", "the cup", {"paper": Overlap(each, 100, each)}) for place, each in enumerate(inside)
    ]
    return Results(ScoresOrigin(source, "0" * 64, data, 64, ("val",), ("paper",)), {"val": sentences})


BASE = RunGroup("base_line", (run("b", 50, 50, 50),))
SEEDS = RunGroup("new", (run("a/seed-0", 60, 70, 80), run("a/seed-1", 70, 80, 90)))


def blocks(*groups: RunGroup, scoring: ScoringOptions = FEW):
    return compare_groups(groups, ["val"], ["paper"], scoring)


def printed(*groups: RunGroup, width: int = 160) -> list[list[str]]:
    """The lines of what is printed, word by word."""
    console = Console(record=True, width=width, file=io.StringIO())
    for each in printed_groups_of_runs(blocks(*groups), FEW, title="x"):
        console.print(each)
    return [line.split() for line in console.export_text().splitlines() if line.strip() and "─" not in line]


def test_scores_and_differences_as_plain_data():
    described = describe_groups([BASE, SEEDS], blocks(BASE, SEEDS))
    assert described["groups"]["new"] == [{"source": "a/seed-0", "sha256": "0" * 64}, {"source": "a/seed-1", "sha256": "0" * 64}]
    assert described["differences_to"] == "base_line"
    base, new = (described["splits"]["val"]["paper"][name] for name in ("base_line", "new"))
    assert base["scores"]["mean_iou"] == {"mean": 50.0, "deviation": None, "interval": [50.0, 50.0], "runs": [50.0]}
    assert "difference" not in base
    assert new["scores"]["mean_iou"]["runs"] == pytest.approx([70, 80])
    assert (new["scores"]["mean_iou"]["mean"], new["scores"]["mean_iou"]["deviation"]) == pytest.approx((75, 50**0.5))
    assert new["difference"]["mean_iou"]["value"] == pytest.approx(25)
    assert new["sentences"] == 3
    json.dumps(described, allow_nan=False)


def test_latex_is_a_whole_table_whose_lines_have_all_columns():
    lines = latex_table(blocks(BASE, SEEDS)).splitlines()
    assert lines[:2] == [r"\begin{tabular}{llrrrrrrr}", r"\toprule"]
    assert lines[-3:-1] == [r"\bottomrule", r"\end{tabular}"]
    assert lines[-1].startswith("% ")
    rows = [line for line in lines if line.endswith(r"\\")]
    assert {row.count("&") for row in rows} == {8}
    assert rows[1].startswith(r"val, paper & base\_line & 50.00 & ")
    assert rows[2].startswith(r" & new & 75.00 $\pm$ 7.07 {\scriptsize [")
    assert rows[3].startswith(r" & \quad difference & +25.00 {\scriptsize [")


def test_markdown_is_a_table_whose_lines_are_equally_wide():
    head, ruler, base, new, difference = markdown_table(blocks(BASE, SEEDS)).split("\n\n")[0].splitlines()
    assert len({len(line) for line in (head, ruler, base, new, difference)}) == 1
    assert [cell.strip() for cell in base.split("|")][1:4] == ["val, paper", "base_line", "50.00"]
    assert [cell.strip() for cell in new.split("|")][3].startswith("75.00 ± 7.07 [")
    assert [cell.strip() for cell in difference.split("|")][2:4][0] == "– difference"


def test_a_single_group_is_a_table_without_differences():
    assert "difference" not in markdown_table(blocks(SEEDS)).lower()


def nothing(found: Results, *pixels: int) -> Results:
    """The same with sentences that refer to nothing, each with so many pixels predicted."""
    more = [SentenceScore(100 + n, 100 + n, f"{n}", "no cup", {"paper": Overlap(0, each, each)}) for n, each in enumerate(pixels)]
    return replace(found, sentences={"val": [*found.sentences["val"], *more]}, no_targets=frozenset(one.ref_id for one in more))


WITHOUT = [
    RunGroup("base", (nothing(run("b", 50, 10), 0, 100),)),
    RunGroup("new", (nothing(run("a/seed-0", 50, 50), 0, 19), nothing(run("a/seed-1", 50, 50), 19, 20))),
]


def test_sentences_that_refer_to_nothing_have_their_scores_in_every_table():
    """By hand: below 20 pixels a mask is empty, so the first finds one of two, and misses the second cup; the others find two and one."""
    described = describe_groups(WITHOUT, blocks(*WITHOUT))["splits"]["val"]["paper"]
    assert described["base"]["scores"]["N-acc"]["runs"] == [50]
    assert described["base"]["scores"]["T-acc"]["runs"] == [50]
    assert described["new"]["scores"]["N-acc"]["runs"] == [100, 50]
    assert described["new"]["scores"]["gIoU"]["runs"] == [75, 50]
    assert described["new"]["difference"]["N-acc"]["value"] == 25
    lines = printed(*WITHOUT, width=80)
    second = lines.index(["split,", "protocol", "gIoU", "cIoU", "N-acc", "T-acc", "runs"])
    assert lines[second - 1][:2] == ["x,", "sentences"]
    assert lines[second + 1 : second + 3] == [["val", "paper"], ["base", "37.50", "16.67", "50.00", "50.00", "1"]]
    head, _, base, new, gap, *_ = markdown_table(blocks(*WITHOUT)).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (head, base, new, gap)]
    assert [row[-2] for row in cells] == ["N-acc", "50.00", "75.00 ± 35.36", "+25.00"]
    assert latex_table(blocks(*WITHOUT)).startswith(r"\begin{tabular}{llrrrrrrrrrrr}")


def blind(found: Results, *inside: int) -> Results:
    """The same with a control that finds so many of 100 pixels."""
    return replace(found, controls={"no-image": run("x", *inside).sentences})


def test_controls_stand_below_their_group_with_what_it_scores_more():
    groups = [RunGroup("base", (blind(run("b", 50, 60), 10, 10),)), RunGroup("new", (blind(run("a", 70, 90), 10, 30),))]
    described = describe_groups(groups, blocks(*groups))["splits"]["val"]["paper"]
    assert described["base"]["control"]["no-image"]["scores"]["mean_iou"]["mean"] == pytest.approx(10)
    assert described["new"]["control"]["no-image"]["difference"]["mean_iou"]["value"] == pytest.approx(60)
    json.dumps(described, allow_nan=False)
    lines = printed(*groups)
    (place,) = [number for number, line in enumerate(lines) if line[0] == "new"]
    assert [line[0] for line in lines[place : place + 7]] == ["new", "±", "difference", "±", "no-image", "±", "difference"]
    assert [line[1:4] for line in lines[place + 4 : place + 7 : 2]] == [["20.00", "20.00", "0.00"], ["+60.00", "+60.00", "+100.00"]]
    assert any(line[:1] == ["no-image:"] for line in lines[place:])
    rows = markdown_table(blocks(*groups)).splitlines()
    assert [row.split("|")[2].strip() for row in rows[2:9]] == [
        *("base", "– no-image", "– – difference", "new", "– difference", "– no-image", "– – difference"),
    ]


def test_a_new_metric_has_a_column_in_every_table():
    dice = Metric("dice", "Dice", lambda tally: 2 * tally.intersection, lambda tally: tally.union + tally.intersection)
    found = blocks(BASE, SEEDS, scoring=replace(FEW, metrics=(*METRICS, dice)))
    by_hand = 100 * 2 * 150 / (300 + 150)
    assert describe_groups([BASE, SEEDS], found)["splits"]["val"]["paper"]["base_line"]["scores"]["dice"]["mean"] == pytest.approx(by_hand)
    for table in (markdown_table(found), latex_table(found)):
        assert "Dice" in table
        assert f"{by_hand:.2f}" in table


@pytest.mark.parametrize("other", [run("c", 1, 2, 3, data="other"), run("c", 1, 2)])
def test_runs_that_were_scored_on_something_else_are_refused(other: Results):
    with pytest.raises(DataError):
        blocks(SEEDS, RunGroup("c", (other,)))
