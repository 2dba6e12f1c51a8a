"""The page of an evaluation, read back number by number and picture by picture."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cmirnet_cli.images.palette import ORANGE, WHITE
from cmirnet_cli.metrics.intervals import Resampling
from cmirnet_cli.metrics.sentences import Overlap, ReferentStats, SentenceScore, SplitScores
from cmirnet_cli.metrics.split_report import ScoringOptions, report
from cmirnet_cli.reports.evaluation.cards import LONGEST, SentencePictures
from cmirnet_cli.reports.evaluation.comparison import compare, describe_comparison
from cmirnet_cli.reports.evaluation.page import LEAST, PICTURES, Evaluation, evaluation_page, least_bytes
from cmirnet_cli.reports.evaluation.results import Results, ScoresOrigin, describe

SCORING = ScoringOptions(Resampling(resamples=100, seed=7), empty_below=20)
RUN = {
    "program": "1.2.3",
    "libraries": {"torch": "9.9"},
    "weights": {"source": "runs/<b>", "sha256": "ab" * 32},
    "data": {"dataset": "cups", "split_by": "me", "fingerprint": "cd" * 32},
    "settings": {"image_size": 96, "batch_size": 8, "optimizations": ["a", "b"], "text_features": None},
}
FACTS = {0: ReferentStats(500, "cup", 1), 1: ReferentStats(5000, "hot dog", 0), 2: ReferentStats(0, "", 0, no_target=True)}


def sentence(place: int, inside: int, text: str = "the red cup", predicted: int = 100) -> SentenceScore:
    """A sentence whose IoU is `inside` per cent under paper, and half of that under original."""
    overlaps = {"paper": Overlap(inside, 100, predicted), "original": Overlap(inside, 200, 2 * predicted)}
    return SentenceScore(place % 3, 10 + place, f"{place // 2}", text, overlaps)


def split(name: str, *sentences: SentenceScore, controlled: bool = False) -> SplitScores:
    controls = {"no-image": tuple(replace(each, overlaps=dict.fromkeys(each.overlaps, Overlap(0, 100, 5))) for each in sentences)}
    return SplitScores(name, ("paper", "original"), sentences, controls if controlled else {}, FACTS)


VAL = split("val", sentence(0, 90), sentence(1, 50), sentence(2, 0), sentence(3, 100, "left cup"), controlled=True)
TEST = split("test", sentence(0, 20), sentence(1, 0, predicted=0), sentence(4, 0))


def evaluation(*scored: SplitScores) -> Evaluation:
    reports = [report(each, SCORING) for each in scored]
    return Evaluation("cups (me)", scored, reports, (), SCORING, RUN | describe(reports, SCORING))


def shots(count: int, size: tuple[int, int] = (20, 40)):
    """Pictures of one grey each; the target is the left half, the prediction the right one."""
    left = np.zeros(size, bool)
    left[:, : size[1] // 2] = True
    return [SentencePictures(np.full((16, 16, 3), 100 + place % 100, np.uint8), left, ~left) for place in range(count)]


def bars_of(page):
    """The bars of all histograms, one after the other, but for those of no sentence."""
    return [bar for bar in page.attributes("button") if "bin" in bar.get("class", "") and "disabled" not in bar]


@pytest.fixture
def page(read_page):
    return read_page(evaluation_page(evaluation(VAL, TEST), shots(7)))


def test_every_element_is_closed_and_nothing_is_loaded(page):
    assert page.open == []
    page.assert_loads_nothing()


def test_scores_stand_per_split_and_protocol_with_both_ends_of_their_intervals(page):
    labels = [text for text in page.text("th") if text.split()[0] in ("val", "test") and " " in text]
    assert labels[:4] == ["val paper", "val original", "test paper", "test original"]
    cells = page.text("td")
    assert cells[:3] == ["60.00", "60.00", "100.00"], "(90 + 50 + 0 + 100) / 400, and of those with a target three in three"
    measured = report(VAL, SCORING).protocols["paper"].measured.intervals["mean_iou"]
    assert f"[{measured.low:.2f}, {measured.high:.2f}]" in page.text("small")


def test_a_controls_scores_and_the_difference_stand_below(page):
    heads = page.text("th")
    assert heads[heads.index("val paper") :][:3] == ["val paper", "no-image", "difference"]
    assert "+60.00" in page.text("td")
    assert [attributes["class"] for attributes in page.attributes("tr") if "class" in attributes][:3] == ["own", "other", "difference"]


def test_it_is_said_what_was_scored_and_how(page):
    said = dict(zip(page.text("dt"), page.text("dd"), strict=True))
    assert page.text("h1") == ["cups (me), runs/<b>"]
    assert said["weights"] == f"source runs/<b>, sha256 {'ab' * 32}"
    assert said["settings"] == "image size 96, batch size 8, optimizations a, b, text features none"
    assert "network's input size" in said["paper"]
    assert "grey" in said["no-image"]
    assert "seed 7" in said["intervals"]
    assert said["in brackets"] == "the 95 % interval (100 resamples of the images, seed 7)"
    assert "IoU of 0" in said["empty prediction"]


def test_the_histogram_counts_every_sentence_under_each_split_and_protocol(page):
    counted = [(bar["title"], "bad" in bar["class"]) for bar in bars_of(page)]
    assert counted[:4] == [
        ("IoU 0 to 5 %: 1 sentence", True),
        ("IoU 50 to 55 %: 1 sentence", False),
        ("IoU 90 to 95 %: 1 sentence", False),
        ("IoU 95 to 100 %: 1 sentence", False),
    ]
    assert [bar["value"] for bar in bars_of(page)][4:8] == [f"iou-original:{step}" for step in (0, 5, 9, 10)]
    assert counted[8] == ("IoU 0 to 5 %: 2 sentences", True)


def test_a_bar_names_the_cards_and_lines_that_it_counts(page):
    bars = {bar["value"] for bar in bars_of(page)}
    items = [str(item["data-in"]).split() for item in page.attributes("figure")]
    assert {group for groups in items for group in groups if group.startswith("iou-")} == bars
    assert sum("iou-paper:0" in groups and "split:val" in groups for groups in items) == 1


def test_groups_are_broken_down_and_name_their_sentences(page):
    picks = {str(button["value"]) for button in page.attributes("button") if button.get("class") == "pick"}
    assert {"size:small", "size:medium", "size:no%20target", "category:hot%20dog", "words:left%20or%20right", "distractors:1"} <= picks
    members = [str(item["data-in"]).split() for item in page.attributes("figure")]
    assert [("category:hot%20dog" in groups) for groups in members if "split:val" in groups] == [False, True, False, False]
    assert "sentences that hold a word of that kind" in "".join(page.text("dd"))


def test_cards_come_worst_first_with_what_sets_failures_apart(page):
    assert page.text("sentence")[:4] == ["the red cup", "the red cup", "the red cup", "left cup"]
    cards = [(float(str(card["data-iou0"])), float(str(card["data-iou1"]))) for card in page.attributes("figure")]
    assert cards == [(0, 0), (0.5, 0.25), (0.9, 0.45), (1, 0.5), (0, 0), (0, 0), (0.2, 0.1)]
    marks = [str(card["data-in"]).split()[-1] for card in page.attributes("figure")]
    assert [mark.split(":")[1] for mark in marks if mark.startswith("mark")] == [
        "no%20target",
        "nothing%20predicted",
        "no%20overlap",
    ]


def test_a_card_shows_image_prediction_and_ground_truth_and_says_which_sentence_it_is(page):
    base, prediction, truth = page.pictures()[:3]
    assert base.size == prediction.size == truth.size == (40, 20)
    assert base.convert("RGB").getpixel((5, 5)) == pytest.approx((100, 100, 100), abs=3)
    shown = [np.asarray(layer.convert("RGBA")) for layer in (prediction, truth)]
    assert (shown[0][:, 20, :3] == ORANGE).all()
    assert (shown[1][:, 20] == (*WHITE, 255)).all()
    assert (shown[1][:, :20, 3] == 0).all()
    assert page.text("bdi")[:4] == ["ref 2", "image 1", "hot dog", "medium target"]


def test_every_sentence_is_listed_with_its_iou_under_each_protocol(page):
    lines = [item for item in page.attributes("li") if item.get("class") == "line"]
    assert len(lines) == 7
    assert sorted(map(float, page.text("a"))) == sorted([0, 0, 50, 25, 90, 45, 100, 50, 0, 0, 0, 0, 20, 10])


def test_pictures_of_a_large_split_are_limited_and_it_is_said_how(read_page):
    large = split("val", *(sentence(place, place % 101) for place in range(2000)))
    page = read_page(evaluation_page(evaluation(large), shots(PICTURES)))
    assert len(page.attributes("figure")) == PICTURES
    assert sum(item.get("class") == "line" for item in page.attributes("li")) == 2000
    assert len(page.attributes("a")) == 2 * PICTURES, "of each protocol one link to each picture"
    hint = page.text("hint")[1]
    assert "With pictures: 300 of 2,000 sentences: under each protocol the 50 worst, the 25 best and 3 of every bar" in hint
    assert "In the list: all 2,000 sentences." in hint
    shown = {group for card in page.attributes("figure") for group in str(card["data-in"]).split() if group.startswith("iou-")}
    assert shown == {bar["value"] for bar in bars_of(page)}


def test_many_splits_share_the_pictures_and_each_has_some(read_page):
    splits = [split(f"test{letter}", *(sentence(place, place % 101) for place in range(150))) for letter in "ABCD"]
    assert [len(each.places) for each in evaluation(*splits).examples().values()] == [LEAST] * 4


@pytest.mark.parametrize(
    "said", ["<script>document.title = 1</script>", "</script><img src=x onerror=alert(1)>", "الكأس \u202e الأحمر", "🎉 cup", "\udc80"]
)
def test_hostile_and_foreign_text_stays_text(read_page, said):
    odd = replace(split("val", sentence(0, 30, said), sentence(1, 60)), stats={0: ReferentStats(500, said, 0), 1: FACTS[1]})
    html = evaluation_page(evaluation(odd), shots(2))
    html.encode("utf-8")
    page = read_page(html)
    shown = said.replace("\udc80", "?")
    assert page.text("sentence")[0] == shown
    assert shown in page.text("bdi")
    assert (len(page.attributes("script")), len(page.attributes("img"))) == (1, 6)
    page.assert_loads_nothing()


def test_a_sentence_of_100_kilobytes_is_cut(read_page):
    html = evaluation_page(evaluation(split("val", sentence(0, 30, "x" * 100_000))), shots(1))
    assert len(html) < 60_000
    assert read_page(html).text("sentence") == ["x" * LONGEST + "…"] * 2


def test_a_comparison_is_shown_with_the_sentences_that_changed(read_page):
    ours, theirs = [Results(ScoresOrigin(name, name, "data", 96, ("val",), ("paper", "original")), {"val": each.sentences})
                    for name, each in (("ours", VAL), ("theirs", split("val", *(sentence(place, 10) for place in range(4)))))]  # fmt: skip
    compared, alone = tuple(compare(ours, theirs, SCORING)), evaluation(VAL)
    both = replace(alone, comparisons=compared, data={**alone.data, "comparison": describe_comparison(compared, theirs.origin)})
    page = read_page(evaluation_page(both, shots(4)))
    assert page.text("th").count("compared with") == 2
    assert "these weights and others: theirs" in page.text("h2")
    assert "val paper, sentences: better 3, worse 1, the same 0" in page.text("summary")
    assert any('"left cup"' in text for text in page.text("li"))


def test_sentences_that_refer_to_nothing_have_a_table_of_their_own(page):
    assert {"gIoU", "cIoU", "N-acc", "T-acc"} < set(page.text("th"))
    assert "a mask of fewer than 20 pixels says that nothing is there" in page.text("hint")


def test_data_without_categories_and_a_single_image_make_a_page(read_page):
    alone = SplitScores("val", ("original",), (SentenceScore(7, 8, "1", "cup", {"original": Overlap(1, 2, 1)}),))
    page = read_page(evaluation_page(evaluation(alone), shots(1)))
    assert page.text("bdi")[:2] == ["ref 7", "image 1"]
    assert page.text("small") == [], "one image has no interval"
    assert math.isclose(float(str(page.attributes("figure")[0]["data-iou0"])), 0.5)


def test_a_picture_too_few_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        evaluation_page(evaluation(VAL), shots(3))


def test_a_page_is_larger_than_the_least_that_is_asked_for():
    large = split("val", *(sentence(place, place % 101, "") for place in range(400)))
    size = len(evaluation_page(evaluation(large), shots(PICTURES, (1, 2))))
    assert least_bytes([400]) < size
    assert least_bytes([10_000]) > 2_000_000
