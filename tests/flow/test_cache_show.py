"""`cmirnet cache info` and `cmirnet cache show` on real photographs, and on a small file of one's own with everything that can be odd."""

import base64
import io
import json
import pickle
from html import unescape

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from cmirnet_cli.app import run
from cmirnet_cli.reports.pictures.overlay import EDGE, INSIDE

SAID = {
    "plain": "the red cup",
    "script": "<script>document.title = 'owned'</script>",
    "closing": "</script></style><img src=x onerror=alert(1)>",
    "rtl": "الكأس \u202e الأحمر 🎉",
    "nothing": "a unicorn",
    "tiny": "the tiny dot",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A cache of one's own JSONL file: six referents on one drawn picture, one of them without a target."""
    home = tmp_path_factory.mktemp("own")
    Image.fromarray(np.full((120, 200, 3), 200, np.uint8)).save(home / "grey.png")
    polygons = {name: [[20, 10, 120, 10, 120, 90, 20, 90]] for name in SAID} | {"nothing": [], "tiny": [[50, 50, 52, 50, 52, 52, 50, 52]]}
    lines = [{"image": "grey.png", "expression": said, "polygons": polygons[name], "split": "val"} for name, said in SAID.items()]
    (home / "own.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert run(["prepare-data", str(home / "own.jsonl"), "--out", str(home), "--size", "32", "--store", "encoded", "--json"]) == 0
    return home / "own-jsonl"


def between(text, before, after):
    return [part.split(after)[0] for part in text.split(before)[1:]]


def pictures(page):
    """Of every card: its picture and its mask's layer."""
    decoded = [Image.open(io.BytesIO(base64.b64decode(data))) for data in between(page, ";base64,", '"')]
    return list(zip(decoded[::2], decoded[1::2], strict=True))


def test_info_names_splits_sizes_and_the_fingerprint(cmirnet, photographs):
    outcome = cmirnet("cache", "info", photographs)
    assert outcome.code == 0
    lines = [line.split() for line in outcome.out.splitlines()]
    assert ["train", "132", "71", "262"] in lines
    assert ["val", "41", "24", "82"] in lines
    data = cmirnet("cache", "info", photographs, "--json").data
    assert ["fingerprint", data["fingerprint"]] in lines
    assert ["store", "decoded,", "64,", "96", "px"] in lines
    assert data["splits"]["val"] == {"refs": 41, "images": 24, "sentences": 82, "published": None}
    files = [path for path in (photographs / "refcoco128-template").iterdir() if path.suffix == ".h5"]
    assert data["bytes"] == sum(path.stat().st_size for path in files)
    assert data["shards"] == len(files) - 1


def test_info_shows_the_published_counts_beside(cmirnet, shared_data, tmp_path):
    home = shared_data / "mini_refcocog_google_val"
    assert cmirnet("prepare-data", "refcocog", "--split-by", "google", "--data", home, "--out", tmp_path, "--size", 32).code == 0
    lines = [line.split() for line in cmirnet("cache", "info", tmp_path).out.splitlines()]
    assert ["val", "3", "5,000", "3", "4,650", "3", "9,536", "no"] in lines
    assert cmirnet("cache", "info", tmp_path, "--json").data["splits"]["val"]["published"]["sentences"] == 9536


def test_a_page_shows_every_sentence_and_the_mask_of_every_referent(cmirnet, photographs, coco128, tmp_path):
    page = tmp_path / "page.html"
    outcome = cmirnet("cache", "show", photographs, "--out", page, "--json")
    assert outcome.code == 0
    assert outcome.data["referents"] == len(outcome.data["shown"]) == 41
    text = page.read_text(encoding="utf-8")
    assert len(between(text, '<p class="sentence" dir="auto">', "</p>")) == 82
    assert outcome.data["bytes"] == page.stat().st_size < 2_000_000
    areas = [float(area) for area in between(text, 'data-area="', '"')]
    for area, (picture, layer) in zip(areas, pictures(text), strict=True):
        assert picture.size == layer.size
        assert np.isin(layer, [INSIDE, EDGE]).mean() == pytest.approx(area, abs=0.01)


def test_every_card_has_the_photograph_sentences_and_area_that_the_annotations_say(cmirnet, photographs, coco128, tmp_path):
    page = tmp_path / "page.html"
    assert cmirnet("cache", "show", photographs, "--out", page).code == 0
    refs = {ref["ref_id"]: ref for ref in pickle.loads((coco128 / "refcoco128" / "refs(template).p").read_bytes())}
    instances = json.loads((coco128 / "refcoco128" / "instances.json").read_text())
    images = {image["id"]: image for image in instances["images"]}
    outlines = {annotation["id"]: annotation["segmentation"] for annotation in instances["annotations"]}
    cards = between(page.read_text(encoding="utf-8"), "<figure", "</figure>")
    for card in cards:
        ref = refs[int(between(card, "<bdi>ref\xa0", "</bdi>")[0])]
        image = images[ref["image_id"]]
        assert [unescape(said) for said in between(card, 'dir="auto">', "</p>")] == [said["raw"] for said in ref["sentences"]]
        drawn = coco.decode(coco.frPyObjects(outlines[ref["ann_id"]], image["height"], image["width"])).sum(axis=2) == 1
        assert float(between(card, 'data-area="', '"')[0]) == pytest.approx(drawn.mean(), rel=1e-5)
        ((picture, layer),) = pictures(card)
        photograph = Image.open(coco128 / "images" / "train2017" / image["file_name"]).convert("RGB")
        thumbnails = [np.asarray(each.resize((24, 24), Image.Resampling.BOX)).astype(int) for each in (picture, photograph)]
        assert np.abs(thumbnails[0] - thumbnails[1]).mean() < 6
        small = np.asarray(Image.fromarray(drawn).resize(layer.size, Image.Resampling.NEAREST))
        assert (np.isin(layer, [INSIDE, EDGE]) != small).mean() < 0.02


def test_a_limit_is_kept_and_said(cmirnet, photographs, tmp_path):
    page = tmp_path / "page.html"
    outcome = cmirnet("cache", "show", photographs, "--split", "all", "--limit", 10, "--out", page)
    assert outcome.code == 0
    assert "10 of 173 referents, spread evenly" in outcome.out
    text = page.read_text(encoding="utf-8")
    assert "10 of 173 referents, spread evenly" in text
    assert text.count("<figure") == 10


def test_hostile_and_foreign_sentences_are_shown_as_they_were_written_with_what_is_odd(cmirnet, own, tmp_path):
    page = tmp_path / "page.html"
    assert cmirnet("cache", "show", own, "--out", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert between(text, "<li>", "</li>") == ["no target", "tiny mask", "lost at 32 px"]
    assert [unescape(said) for said in between(text, '<p class="sentence" dir="auto">', "</p>")] == list(SAID.values())
    assert text.count("<script") == text.count("</script") == text.count("<style") == text.count("</style") == 1
    assert "://" not in text


def test_what_is_worth_a_look_is_counted_over_the_whole_split_and_shown_first(cmirnet, own, tmp_path):
    outcome = cmirnet("cache", "show", own, "--limit", 3, "--out", tmp_path / "page.html", "--json")
    assert outcome.data["marks"] == {"no target": [5], "tiny mask": [6], "lost at 32 px": [6]}
    assert len(outcome.data["shown"]) == 3
    assert {5, 6, 7} & set(outcome.data["shown"])


def test_the_picture_of_a_referent_without_a_target_has_no_outline(cmirnet, own, tmp_path):
    page = tmp_path / "page.html"
    assert cmirnet("cache", "show", own, "--out", page).code == 0
    layers = dict(zip(SAID, (np.asarray(layer) for _, layer in pictures(page.read_text(encoding="utf-8"))), strict=True))
    assert (layers["plain"] > 0).sum() == pytest.approx(100 * 80, rel=0.05)
    assert not layers["nothing"].any()
    assert layers["tiny"].any()


def test_the_page_has_a_name_of_its_own_and_is_not_overwritten_unasked(cmirnet, own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cmirnet("cache", "show", own).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["own-jsonl-val.html"]
    refused = cmirnet("cache", "show", own)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert cmirnet("cache", "show", own, "--overwrite").code == 0


def test_a_split_that_is_not_there_is_refused_with_those_that_are(cmirnet, own, tmp_path):
    outcome = cmirnet("cache", "show", own, "--split", "testA", "--out", tmp_path / "page.html")
    assert outcome.code == 3
    assert "its splits are val" in outcome.err
    assert not (tmp_path / "page.html").exists()


def test_equal_caches_give_equal_pages(cmirnet, own, tmp_path):
    for name in ("a.html", "b.html"):
        assert cmirnet("cache", "show", own, "--out", tmp_path / name).code == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
