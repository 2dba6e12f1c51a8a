"""`cmirnet eval --report` on real photographs: the page agrees with the scores, the annotations and the photographs."""

from __future__ import annotations

import base64
import io
import json
from html import unescape

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from cmirnet_cli.app import run
from cmirnet_cli.cache.folder import find_cache
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.reports.pictures.overlay import EDGE, INSIDE


@pytest.fixture(scope="module")
def scored(photographs, weights, tmp_path_factory):
    """What one evaluation with every option wrote: scores, sentences with masks, and the page."""
    out = tmp_path_factory.mktemp("scored")
    words = ["eval", str(weights), "--cache", str(photographs), "--split", "val", "--control", "no-image", "--save-masks"]
    assert run([*words, "--device", "cpu", "--out", str(out), "--report", str(out / "page.html")]) == 0
    return out


@pytest.fixture(scope="module")
def three(shared_data, tmp_path_factory):
    """A cache of three sentences about three photographs."""
    home, out = shared_data / "mini_refcocog_google_val", tmp_path_factory.mktemp("three")
    assert run(["prepare-data", "refcocog", "--split-by", "google", "--data", str(home), "--out", str(out), "--size", "64", "--json"]) == 0
    return out


@pytest.fixture
def evaluate(cmirnet, three, weights):
    return lambda *words: cmirnet("eval", weights, "--cache", three, "--device", "cpu", "--protocol", "original", *words)


def between(text, before, after):
    return [part.split(after)[0] for part in text.split(before)[1:]]


def cards(page):
    """Sentence id → card; each sentence is told by its referent and its words."""
    found = {}
    for card in between(page.read_text(encoding="utf-8"), "<figure", "</figure>"):
        said = unescape(between(card, '<p class="sentence" dir="auto">', "</p>")[0])
        ref = next(note for note in between(card, "<bdi>", "</bdi>") if note.startswith("ref "))
        found[int(ref.split()[1]), said] = card
    return found


def pictures(card):
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in between(card, ";base64,", '"')]


def lines(folder):
    return [json.loads(line) for line in (folder / "sentences.jsonl").read_text().splitlines()]


def test_every_sentence_has_a_card_with_its_iou_under_each_protocol(scored):
    found = cards(scored / "page.html")
    assert len(found) == 82
    for line in lines(scored):
        card = found[line["ref_id"], line["sentence"]]
        assert float(between(card, 'data-iou0="', '"')[0]) == pytest.approx(line["paper"]["iou"], abs=1e-5)
        assert float(between(card, 'data-iou1="', '"')[0]) == pytest.approx(line["original"]["iou"], abs=1e-5)
        assert float(between(card, 'data-area="', '"')[0]) == pytest.approx(line["area"], rel=1e-5)


def test_cards_show_the_photograph_the_mask_that_was_kept_and_the_ground_truth(scored, photographs):
    found, data = cards(scored / "page.html"), Cache.open(find_cache(photographs))
    rows = {data.referent(row).ref_id: row for row in data.referent_rows("val").tolist()}
    for line in lines(scored)[::7]:
        base, prediction, truth = pictures(found[line["ref_id"], line["sentence"]])
        row = rows[line["ref_id"]]
        photograph = Image.open(data.image_file(data.referent(row).image_row)).convert("RGB")
        small = [np.asarray(each.resize((16, 16), Image.Resampling.BOX)).astype(int) for each in (base, photograph)]
        assert np.abs(small[0] - small[1]).mean() < 8
        assert base.size == prediction.size == truth.size
        kept = np.asarray(Image.fromarray(coco.decode(line["rle"])).resize(base.size, Image.Resampling.NEAREST))
        assert (np.isin(prediction, [INSIDE, EDGE]) != kept).mean() < 0.03
        drawn = np.asarray(Image.fromarray(data.mask(row, None)).resize(base.size, Image.Resampling.NEAREST))
        assert ((np.asarray(truth) > 0) & (drawn > 0)).mean() < 0.02, "the outline lies around the object"


def test_the_page_says_the_scores_that_the_files_say(scored):
    page, said = (scored / "page.html").read_text(encoding="utf-8"), json.loads((scored / "scores.json").read_text())
    cells = between(page, '<th scope="row">val paper</th>', "</tr>")[0]
    measured = said["splits"]["val"]["paper"]
    assert between(cells, "<td>", "<")[:3] == [f"{measured[name]:.2f}" for name in ("overall_iou", "mean_iou", "precision@0.5")]
    low, high = measured["interval"]["overall_iou"]
    assert between(cells, "<small>", "</small>")[0] == f"[{low:.2f}, {high:.2f}]"
    for known in (said["weights"]["sha256"], said["data"]["fingerprint"], said["protocols"]["original"], "no-image"):
        assert known in unescape(page)
    assert "schema_version" not in page


def test_bars_count_the_sentences_of_the_file(scored):
    counted = dict.fromkeys(range(20), 0)
    for line in lines(scored):
        counted[min(20 * line["paper"]["intersection"] // max(line["paper"]["union"], 1), 19)] += 1
    bars = between((scored / "page.html").read_text(encoding="utf-8"), 'value="iou-paper:', "</button>")
    assert [int(between(bar, "<b>", "</b>")[0] or 0) for bar in bars] == list(counted.values())


def test_equal_evaluations_give_equal_pages(evaluate, tmp_path):
    for name in ("a.html", "b.html"):
        assert evaluate("--report", tmp_path / name).code == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_page_keeps_no_masks_in_the_sentences_and_is_named_in_the_result(evaluate, tmp_path):
    outcome = evaluate("--out", tmp_path / "scores", "--report", tmp_path / "new" / "page.html", "--json")
    assert outcome.code == 0
    assert outcome.data["report"] == str(tmp_path / "new" / "page.html")
    assert not any("rle" in line for line in lines(tmp_path / "scores"))
    assert "report" not in json.loads((tmp_path / "scores" / "scores.json").read_text())


@pytest.mark.slow
def test_pictures_of_a_split_with_more_sentences_are_limited(cmirnet, photographs, weights, tmp_path):
    words = ("--device", "cpu", "--split", "all", "--protocol", "original", "--report", tmp_path / "page.html")
    assert cmirnet("eval", weights, "--cache", photographs, *words).code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "150 of 262 sentences: under each protocol the 50 worst" in page
    assert "With pictures: all 82 sentences." in page
    assert page.count("<figure") == 150 + 82
    assert page.count('<li class="line"') == 262 + 82


@pytest.fixture
def refused(evaluate, tmp_path):
    """Runs an evaluation that must be refused before it has scored anything; what it said."""

    def run(code, *words):
        outcome = evaluate(*words)
        assert outcome.code == code
        assert "score " not in outcome.err
        assert not list(tmp_path.rglob(".cmirnet-*"))
        return outcome.err

    return run


def test_a_page_is_not_replaced_unasked(evaluate, refused, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert "exists already" in refused(2, "--report", page)
    assert page.read_text() == "mine"
    assert evaluate("--report", page, "--overwrite").code == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_page_in_a_place_that_cannot_be_is_refused_first(refused, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "cannot write to" in refused(1, "--report", tmp_path / "file" / "page.html")
    assert "is a folder" in refused(2, "--report", tmp_path, "--overwrite")
    assert "cannot write to" in refused(1, "--out", tmp_path / "file" / "scores")


def test_a_page_needs_masks_at_the_images_own_size(refused, tmp_path):
    assert "--report needs masks at the image's own size" in refused(2, "--protocol", "paper", "--report", tmp_path / "page.html")
