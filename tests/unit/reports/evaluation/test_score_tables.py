"""Tables of scores are read as text, the way a pipe gets them."""

from __future__ import annotations

import math

import pytest

from cmirnet_cli.metrics.intervals import Difference, Interval, MeasuredScores, Resampling
from cmirnet_cli.metrics.scores import GENERALISED, METRICS, Scores
from cmirnet_cli.metrics.sentences import Overlap, SentenceScore, SplitScores
from cmirnet_cli.metrics.split_report import Control, Generalised, ProtocolReport, ScoringOptions, SplitReport
from cmirnet_cli.metrics.split_report import report as split_report
from cmirnet_cli.reports.evaluation.comparison import Comparison
from cmirnet_cli.reports.evaluation.score_lines import LABEL, difference_tables, generalised_table, score_table
from cmirnet_cli.reports.evaluation.tables import printed, printed_briefly, printed_groups, printed_scores
from tests.unit.reports.conftest import words_of

NAMES = [metric.name for metric in METRICS]


def measured(*values: float, margin: float = 1.5) -> MeasuredScores:
    intervals = {name: Interval(value - margin, value + margin) for name, value in zip(NAMES, values, strict=True)}
    return MeasuredScores(METRICS, Scores(dict(zip(NAMES, values, strict=True)), 10834), 1500, intervals)


OWN = measured(79.128, 77.5, 90.0, 85.0, 70.25, 60.0, 30.0)
OTHER = measured(19.12, 80.0, 10.0, 5.0, 0.25, 0.0, 0.0)
GAPS = {name: OWN.scores[name] - OTHER.scores[name] for name in NAMES}
OWED = {name: Difference(gap, Interval(gap - 0.25, gap + 0.25)) for name, gap in GAPS.items()}


def under(found: MeasuredScores, controls: dict[str, Control] | None = None, generalised: Generalised | None = None) -> ProtocolReport:
    return ProtocolReport(found, controls or {}, generalised, {})


MARGINS = ["±", *["1.50"] * 7]


def test_a_score_table_has_a_line_for_each_protocol_and_half_the_interval_below() -> None:
    report = SplitReport("val", {"paper": under(OWN), "original": under(OTHER)})
    lines = words_of(printed_scores(score_table([report]), title="refcoco"))
    assert lines == [
        ["refcoco"],
        ["split,", "protocol", "oIoU", "mIoU", "P@.5", "P@.6", "P@.7", "P@.8", "P@.9", "sentences"],
        ["val", "paper", "79.13", "77.50", "90.00", "85.00", "70.25", "60.00", "30.00", "10,834"],
        MARGINS,
        ["val", "original", "19.12", "80.00", "10.00", "5.00", "0.25", "0.00", "0.00", "10,834"],
        MARGINS,
    ]


def test_briefly_each_protocol_and_control_is_one_line_with_the_interval_behind_the_score() -> None:
    report = SplitReport("val", {"paper": under(OWN, {"shuffled-text": Control(OTHER, OWED)}), "original": under(OTHER)})
    lines = words_of(printed_briefly([report], title="refcoco"))
    assert [" ".join(line) for line in lines] == [
        "refcoco",
        "split, protocol oIoU mIoU P@.5 sentences",
        "val paper 79.13 ± 1.50 77.50 ± 1.50 90.00 10,834",
        "shuffled-text 19.12 ± 1.50 80.00 ± 1.50 10.00 10,834",
        "val original 19.12 ± 1.50 80.00 ± 1.50 10.00 10,834",
    ]


def test_the_legend_explains_only_what_the_lines_show() -> None:
    wide = SplitReport("val", {"paper": under(OWN), "original": under(OTHER)})
    alike = [SentenceScore(n, n, f"{n}", "the cup", {"paper": Overlap(5, 10, 10)}) for n in range(3)]
    narrow = split_report(SplitScores("val", ("paper",), tuple(alike), {}), ScoringOptions(Resampling(resamples=50)))
    legends = [list(printed([each], (), ScoringOptions(), title="x", groups=False, verbose=False))[1] for each in (wide, narrow)]
    assert legends == [
        "in percent; ±: half of the 95 % interval; paper: at the network's size; original: at the image's own size; --verbose says more",
        "in percent; paper: at the network's size; --verbose says more",
    ]


def test_three_sentences_that_score_alike_have_no_interval() -> None:
    alike = [SentenceScore(n, n, f"{n}", "the cup", {"paper": Overlap(5, 10, 10)}) for n in range(3)]
    scored = split_report(SplitScores("val", ("paper",), tuple(alike), {}), ScoringOptions(Resampling(resamples=50)))
    for table in (printed_briefly([scored], title="x"), printed_scores(score_table([scored]), title="x")):
        text = "\n".join(" ".join(line) for line in words_of(table))
        assert "50.00" in text
        assert "± 0.00" not in text


def test_controls_and_differences_stand_under_their_protocol_in_80_columns() -> None:
    reports = [
        SplitReport("testA", {"original": under(OWN, {"shuffled-text": Control(OTHER, OWED)})}),
        SplitReport("val", {"paper": under(OWN)}),
    ]
    lines = words_of(printed_scores(score_table(reports), title="x"))[1:]
    assert [line[0] for line in lines] == [*LABEL.split(), "testA", "±", "shuffled-text", "±", "difference", "±", "val", "±"]
    assert lines[4] == ["shuffled-text", "19.12", "80.00", "10.00", "5.00", "0.25", "0.00", "0.00", "10,834"]
    assert lines[6] == ["difference", "+60.01", "-2.50", "+80.00", "+80.00", "+70.00", "+60.00", "+30.00"]
    assert lines[7] == ["±", *["0.25"] * 7]


def test_labels_are_shown_as_they_are() -> None:
    lines = words_of(printed_scores(score_table([SplitReport("[bold]val", {"paper": under(OWN)})]), title="[red]x"))
    assert (lines[0], lines[2][0]) == (["[red]x"], "[bold]val")


def test_a_comparison_shows_both_and_the_difference_in_80_columns() -> None:
    compared = Comparison("val", "paper", OWN, OTHER, OWED, better=1, worse=0, same=0, improved=(), worsened=())
    lines = words_of(printed_scores(difference_tables([compared])[0], title="x"))[1:]
    assert [" ".join(line[:3]) for line in lines[2:7:2]] == ["val paper 79.13", "compared with 19.12", "difference +60.01 -2.50"]


def test_shares_of_sentences_that_are_not_there_are_a_dash() -> None:
    values = {metric.name: value for metric, value in zip(GENERALISED, (50.0, 40.0, math.nan, 100.0), strict=True)}
    found = MeasuredScores(GENERALISED, Scores(values, 12), 3, {name: Interval(math.nan, math.nan) for name in values})
    table = generalised_table([SplitReport("val", {"paper": under(OWN, generalised=Generalised(found, 50, 12, 0))})])
    assert table is not None
    lines = words_of(printed_scores(table, title="x"))[1:]
    assert lines == [
        ["split,", "protocol", "gIoU", "cIoU", "N-acc", "T-acc", "with", "target", "without"],
        ["val", "paper", "50.00", "40.00", "-", "100.00", "12", "0"],
        ["±", *"----"],
    ]


@pytest.mark.parametrize("width", [80, 240])
def test_groups_name_their_attribute_once(width: int) -> None:
    groups = {"size": {"small": OTHER, "large": OWN}, "words": {"x": OWN}}
    lines = words_of(printed_groups(groups, title="val"), width)
    assert lines[1:] == [
        ["by", "group", "oIoU", "±", "mIoU", "±", "P@.5", "sentences"],
        ["size", "small", "19.12", "1.50", "80.00", "1.50", "10.00", "10,834"],
        ["large", "79.13", "1.50", "77.50", "1.50", "90.00", "10,834"],
        ["words", "x", "79.13", "1.50", "77.50", "1.50", "90.00", "10,834"],
    ]
