"""Runs side by side, in every form, with numbers that are counted by hand."""

from __future__ import annotations

import json

import pytest

from cmirnet_cli.errors import DataError
from cmirnet_cli.metrics.intervals import Resampling
from cmirnet_cli.metrics.sentences import Overlap, SentenceScore
from cmirnet_cli.reports.evaluation.groups import RunGroup, compare_groups, describe_groups, latex_table, markdown_table
from cmirnet_cli.reports.evaluation.results import Results, ScoresOrigin

FEW = Resampling(resamples=50)


def run(source: str, *inside: int, data: str = "data") -> Results:
    """One sentence of each of several images: so many of 100 pixels are found."""
    sentences = [
        SentenceScore(place, place, f"{place}", "the cup", {"paper": Overlap(each, 100, each)}) for place, each in enumerate(inside)
    ]
    return Results(ScoresOrigin(source, "0" * 64, data, 64, ("val",), ("paper",)), {"val": sentences})


BASE = RunGroup("base_line", (run("b", 50, 50, 50),))
SEEDS = RunGroup("new", (run("a/seed-0", 60, 70, 80), run("a/seed-1", 70, 80, 90)))


def blocks(*groups: RunGroup):
    return compare_groups(groups, ["val"], ["paper"], FEW)


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


@pytest.mark.parametrize("other", [run("c", 1, 2, 3, data="other"), run("c", 1, 2)])
def test_runs_that_were_scored_on_something_else_are_refused(other: Results):
    with pytest.raises(DataError):
        blocks(SEEDS, RunGroup("c", (other,)))
