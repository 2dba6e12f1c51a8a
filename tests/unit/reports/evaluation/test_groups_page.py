"""The page of several runs: which sentences it shows, and what it says of each."""

from __future__ import annotations

import numpy as np

from cmirnet_cli.metrics.intervals import Resampling
from cmirnet_cli.metrics.sentences import Overlap, SentenceScore, SplitScores
from cmirnet_cli.metrics.split_report import ScoringOptions
from cmirnet_cli.reports.evaluation.groups import RunGroup, compare_groups, describe_groups
from cmirnet_cli.reports.evaluation.groups_page import ComparedPictures, GroupsPage, groups_page
from cmirnet_cli.reports.evaluation.results import Results, ScoresOrigin

SCORING = ScoringOptions(Resampling(resamples=50))


def page(**inside: list[int]) -> GroupsPage:
    """Groups of one run each, by name: how many of 100 pixels it finds of each sentence."""
    shown = {}
    for name, found in inside.items():
        sentences = [SentenceScore(n, n, f"{n}", f"cup {n}", {"paper": Overlap(each, 100, each)}) for n, each in enumerate(found)]
        shown[name] = [SplitScores("val", ("paper",), tuple(sentences))]
    origin = ScoresOrigin("run", "0" * 64, "data", 64, ("val",), ("paper",))
    groups = [RunGroup(name, (Results(origin, {"val": splits[0].sentences}),)) for name, splits in shown.items()]
    blocks = compare_groups(groups, ["val"], ["paper"], SCORING)
    data = describe_groups(groups, blocks) | {"program": "1", "intervals": {"level": 0.95}}
    return GroupsPage("drawn", blocks, shown, SCORING, data)


def test_half_of_the_sentences_that_are_shown_are_those_on_which_runs_differ_most():
    theirs = [50] * 40
    theirs[5], theirs[17] = 90, 10
    (places,) = page(ours=[50] * 40, theirs=theirs).places(4)
    assert len(places) == 4
    assert {5, 17} < set(places)


def test_each_sentence_has_the_iou_of_each_group_and_their_difference(read_page):
    about, blank = page(ours=[80, 20], theirs=[30, 20]), np.ones((20, 40), bool)
    picture = ComparedPictures(np.zeros((16, 16, 3), np.uint8), blank, [blank, blank])
    shown = read_page(groups_page(about, [picture, picture]))
    shown.assert_loads_nothing()
    first = about.entry(0, 0)
    meters = [("IoU of ours", 0.8, True), ("IoU of theirs", 0.3, False)]
    assert [(meter.label, meter.fraction, meter.good) for meter in first.meters] == meters
    assert first.keys["gap0"] == 0.5
    assert [len(shown.pictures(**{"data-layer": name})) for name in ("ours", "theirs", "ground truth")] == [2, 2, 2]
    assert "-25.00" in shown.text("td"), "what theirs scores more than ours, by mean IoU"
