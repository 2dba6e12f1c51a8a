"""All that is said of a split hangs together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cmirnet_cli.metrics.intervals import Resampling, score_with_intervals
from cmirnet_cli.metrics.scores import score
from cmirnet_cli.metrics.sentences import Overlap, ReferentStats, SplitScores, Tally
from cmirnet_cli.metrics.split_report import ScoringOptions, report

SCORING = ScoringOptions(Resampling(resamples=100))


def test_groups_of_an_attribute_hold_all_sentences_and_their_own_scores(drawn) -> None:
    sentences = tuple(drawn(20, 0))
    facts = {ref_id: ReferentStats(1 + 2000 * (ref_id % 2), "cup", ref_id % 4) for ref_id in range(20)}
    under = report(SplitScores("val", ("paper",), sentences, {}, facts), SCORING).protocols["paper"]
    for attribute in ("size", "length", "category", "distractors"):
        assert sum(one.scores.sentences for one in under.groups[attribute].values()) == len(sentences)
    small = [sentence for sentence in sentences if sentence.ref_id % 2 == 0]
    assert under.groups["size"]["small"] == score_with_intervals(Tally.of(small, "paper"), SCORING.resampling)
    assert under.generalised is None


def test_a_control_says_what_the_splits_own_sentences_score_more(drawn) -> None:
    sentences = tuple(drawn(20, 1))
    blind = tuple(replace(one, overlaps={"paper": Overlap(0, one.overlaps["paper"].union, 0)}) for one in sentences)
    under = report(SplitScores("val", ("paper",), sentences, {"no-image": blind}), SCORING).protocols["paper"]
    control = under.controls["no-image"]
    assert control.measured.scores["mean_iou"] == 0
    assert control.difference["mean_iou"].value == under.measured.scores["mean_iou"]
    assert control.difference["mean_iou"].interval == under.measured.intervals["mean_iou"]


def test_sentences_that_refer_to_nothing_bring_the_generalised_scores(drawn) -> None:
    sentences = tuple(drawn(20, 2))
    nothing = tuple(replace(one, overlaps={"paper": Overlap(0, 30, 30)}) if one.ref_id < 5 else one for one in sentences)
    facts = {ref_id: ReferentStats(0, "", 0, no_target=ref_id < 5) for ref_id in range(20)}
    split = SplitScores("val", ("paper",), nothing, {}, facts)
    usual, strict = (report(split, scoring).protocols["paper"].generalised for scoring in (SCORING, replace(SCORING, empty_below=1)))
    assert usual is not None
    assert strict is not None
    assert usual.no_targets == sum(one.ref_id < 5 for one in sentences)
    lenient, exact = usual.measured.scores, strict.measured.scores
    assert (lenient["N-acc"], exact["N-acc"]) == (100, 0)
    assert exact["gIoU"] < lenient["gIoU"]
    assert exact["cIoU"] == pytest.approx(score(Tally.of(nothing, "paper"))["overall_iou"])
