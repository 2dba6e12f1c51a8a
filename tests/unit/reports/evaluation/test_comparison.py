"""Two evaluations compared; what is not about the same thing is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cmirnet_cli.errors import CmirnetError, DataError
from cmirnet_cli.metrics.intervals import Resampling
from cmirnet_cli.metrics.scores import METRICS
from cmirnet_cli.metrics.sentences import Overlap, SentenceScore, SplitScores
from cmirnet_cli.metrics.split_report import ScoringOptions
from cmirnet_cli.reports.evaluation.comparison import EXAMPLES, change_lines, compare, describe_comparison
from cmirnet_cli.reports.evaluation.results import (
    Results,
    ScoresOrigin,
    holds_results,
    read_results,
    require_comparable,
    sentence_lines,
    write_results,
)
from cmirnet_cli.reports.evaluation.score_lines import difference_tables

FEW = ScoringOptions(Resampling(resamples=100), empty_below=20)
ORIGIN = ScoresOrigin("runs/b", "b" * 64, "f" * 64, 480, ("val",), ("paper",))


def sentence(number: int, inside: int) -> SentenceScore:
    return SentenceScore(number, number, f"{number}", f"cup {number}", {"paper": Overlap(inside, 100, inside)})


def nothing(number: int, pixels: int) -> SentenceScore:
    """A sentence without a target, of which so many pixels were predicted."""
    return replace(sentence(number, 0), overlaps={"paper": Overlap(0, pixels, pixels)})


def results(*inside: int, source: str = "runs/a") -> Results:
    return Results(replace(ORIGIN, source=source), {"val": [sentence(number, each) for number, each in enumerate(inside)]})


def test_sentences_that_changed_are_counted_and_the_largest_changes_come_first():
    (found,) = compare(results(50, 90, 10, 40), results(50, 30, 20, 30), FEW)
    assert (found.better, found.worse, found.same) == (2, 1, 1)
    assert [(one.sentence.ref_id, one.before, one.after) for one in found.improved] == [(1, 0.3, 0.9), (3, 0.3, 0.4)]
    assert [one.sentence.ref_id for one in found.worsened] == [2]
    assert found.differences["mean_iou"].value == pytest.approx((0 + 60 - 10 + 10) / 4)


def test_precision_leaves_out_what_refers_to_nothing_here_too():
    ours, theirs = replace(results(90, 30, 0, 0), no_targets=frozenset({2, 3})), results(90, 90, 0, 0)
    (found,) = compare(ours, theirs, FEW)
    assert found.ours.scores["precision@0.5"] == 50
    assert found.differences["precision@0.5"].value == 50 - 100


def test_what_refers_to_nothing_brings_the_scores_of_its_own():
    """By hand: of two sentences without a target, ours clears both masks (0 and 19 pixels), theirs one."""
    ours, theirs = (
        Results(ORIGIN, {"val": [sentence(0, 90), nothing(1, first), nothing(2, second)]}, frozenset({1, 2}))
        for first, second in ((0, 19), (0, 20))
    )
    (found,) = compare(ours, theirs, FEW)
    assert (found.ours.scores["N-acc"], found.theirs.scores["N-acc"]) == (100, 50)
    assert found.differences["N-acc"].value == 50
    assert found.ours.scores["gIoU"] == pytest.approx((90 + 100 + 100) / 3)
    usual, generalised = difference_tables([found])
    assert usual.headings == (*(metric.heading for metric in METRICS), "sentences")
    assert generalised.headings == ("gIoU", "cIoU", "N-acc", "T-acc", "sentences")
    assert [line.numbers[2] for line in generalised.blocks[0]] == ["100.00", "50.00", "+50.00"]


def test_the_order_of_the_other_sentences_does_not_matter():
    ours, theirs = results(10, 20, 30), results(30, 10, 20)
    turned = Results(theirs.origin, {"val": theirs.sentences["val"][::-1]})
    assert compare(ours, theirs, FEW) == compare(ours, turned, FEW)


def test_no_more_sentences_are_named_than_one_can_read():
    (found,) = compare(results(*range(30, 60)), results(*range(30)), FEW)
    assert (len(found.improved), found.better) == (EXAMPLES, 30)


def test_changes_are_said_with_the_sentence_and_its_image():
    (found,) = compare(results(90), results(30), FEW)
    assert change_lines(found) == [
        "val paper, sentences: better 1, worse 0, the same 0",
        '  better 30.0 → 90.0  "cup 0" (sentence 0, image 0)',
    ]


def test_a_comparison_as_data_says_with_whom_and_what_differs():
    theirs = results(30, 50)
    data = json.loads(json.dumps(describe_comparison(compare(results(90, 40), theirs, FEW), theirs.origin), allow_nan=False))
    assert data["with"] == {"source": "runs/a", "sha256": "b" * 64}
    paper = data["splits"]["val"]["paper"]
    assert (paper["ours"]["mean_iou"], paper["theirs"]["mean_iou"], paper["difference"]["mean_iou"]["value"]) == (65, 40, 25)
    assert paper["sentences"] == {"better": 1, "worse": 1, "same": 0}
    assert paper["worsened"] == [{"image_id": "1", "ref_id": 1, "sent_id": 1, "sentence": "cup 1", "before": 0.5, "after": 0.4}]


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (replace(ORIGIN, data="e" * 64), "scored on other data: fingerprint eeeeeeeeeeee…, not ffffffffffff…"),
        (replace(ORIGIN, splits=("testA", "testB")), "not scored on split val, only on testA and testB"),
        (replace(ORIGIN, protocols=("original",)), "not scored on protocol paper, only on original"),
        (replace(ORIGIN, image_size=384), "protocol paper: scored at 384 px there and 480 px here"),
    ],
)
def test_what_differs_is_refused_by_name(theirs: ScoresOrigin, message: str):
    with pytest.raises(DataError, match=message):
        require_comparable(ORIGIN, theirs)


def test_other_weights_and_more_splits_and_protocols_than_needed_are_no_obstacle():
    theirs = replace(ORIGIN, sha256="0" * 64, splits=("train", "val"), protocols=("paper", "original"))
    require_comparable(ORIGIN, theirs)
    original = replace(ORIGIN, protocols=("original",))
    require_comparable(original, replace(original, image_size=384))


@pytest.mark.parametrize(("theirs", "message"), [(results(1), 'lacks "cup 1"'), (results(1, 2, 3), "has 3 sentences, not 2")])
def test_a_sentence_without_its_pair_is_refused(theirs: Results, message: str):
    with pytest.raises(DataError, match=message):
        compare(results(1, 2), theirs, FEW)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The two files of an evaluation of two sentences."""
    described: dict[str, Any] = {
        "schema_version": 1,
        "weights": {"source": "runs/a", "sha256": "a" * 64},
        "data": {"dataset": "drawn", "split_by": "made", "fingerprint": "f" * 64},
        "settings": {"image_size": 480, "tokens": 20},
        "protocols": {"paper": "in words"},
        "splits": {"val": {"paper": {}}},
    }
    (tmp_path / "scores.json").write_text(json.dumps(described))
    scored = SplitScores("val", ("paper",), (sentence(0, 30), sentence(1, 50)))
    (tmp_path / "sentences.jsonl").write_text("".join(sentence_lines([scored])))
    return tmp_path


@pytest.mark.parametrize("name", ["", "scores.json"])
def test_written_results_are_read_from_their_folder_or_file(written: Path, name: str):
    assert holds_results(written / name)
    found = read_results(written / name)
    assert found.origin == ScoresOrigin("runs/a", "a" * 64, "f" * 64, 480, ("val",), ("paper",))
    assert found.sentences == {"val": [sentence(0, 30), sentence(1, 50)]}


def test_a_sentence_may_hold_any_line_break_of_unicode(written: Path):
    strange = replace(sentence(0, 30), text="cup\u2028and\u0085saucer")
    (written / "sentences.jsonl").write_text("".join(sentence_lines([SplitScores("val", ("paper",), (strange,))])), encoding="utf-8")
    assert read_results(written).sentences["val"] == [strange]


def test_a_folder_of_weights_holds_no_results(tmp_path: Path):
    assert not holds_results(tmp_path)


def test_old_scores_never_stand_beside_new_sentences(written: Path):
    (written / "sentences.jsonl").unlink()
    (written / "sentences.jsonl").mkdir()  # so that sentences cannot be written
    with pytest.raises(CmirnetError, match="cannot write"):
        write_results(written, {}, [])
    assert not (written / "scores.json").exists()


def test_results_of_another_program_are_refused(written: Path):
    file = written / "scores.json"
    file.write_text(file.read_text().replace('"schema_version": 1', '"schema_version": 0'))
    with pytest.raises(DataError, match="schema_version"):
        read_results(written)


@pytest.mark.parametrize("damage", ["missing", "cut", "older", "unscored"])
def test_damaged_results_are_refused_with_what_to_do(written: Path, damage: str):
    lines = written / "sentences.jsonl"
    if damage == "missing":
        lines.unlink()
    elif damage == "cut":
        lines.write_text(lines.read_text()[:-20])
    elif damage == "unscored":
        lines.write_text(lines.read_text().replace('"paper"', '"else"', 1))
    else:
        lines.write_text(lines.read_text().replace('"predicted": 30, ', ""))
    with pytest.raises(DataError, match="does not hold the results of an evaluation") as refused:
        read_results(written)
    assert "score those weights again" in (refused.value.hint or "")
