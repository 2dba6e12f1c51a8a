"""Every data set of the list, end to end: prepare-data, the cache it writes, one evaluation item of each split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.batches.datasets import EvaluationSet
from cmirnet_cli.cache.reader import Cache

ALL_SPLITS = {
    ("refcoco", "unc"): ["train", "val", "testA", "testB"],
    ("refcoco", "google"): ["train", "val", "test"],
    ("refcoco+", "unc"): ["train", "val", "testA", "testB"],
    ("refcocog", "umd"): ["train", "val", "test"],
    ("refcocog", "google"): ["train", "val"],
}
REFCLEF_UNC = ("train", "val", "testA", "testB", "testC", "testAB", "testBC")


def check(cache: Cache, folder: Any, splits: list[str]) -> None:
    """Every sentence has its own words, the whole mask at original size, and the pixels of its photograph."""
    assert list(cache.splits) == splits
    seen = set()
    for split in splits:
        for item in EvaluationSet(cache, split, 64):
            seen |= {sentence.sent_id for sentence in item.sentences}
            for sentence in item.sentences:
                mask = folder.truth[sentence.sent_id]
                assert sentence.text == f"Thing {sentence.sent_id} on the LEFT"
                np.testing.assert_array_equal(sentence.original, mask)
                np.testing.assert_array_equal(sentence.target, np.asarray(Image.fromarray(mask).resize((64, 64), Image.Resampling.NEAREST)))
    assert seen == set(folder.truth)
    for row in range(len(folder.images)):
        photograph = Image.open(cache.image_file(row)).resize((64, 64), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(cache.image(row, 64), np.asarray(photograph))


@pytest.mark.parametrize(("dataset", "split_by"), ALL_SPLITS)
def test_data_sets_on_coco_are_prepared_under_every_division(prepared, build, dataset, split_by):
    splits = ALL_SPLITS[dataset, split_by]
    folder = build.coco(dataset, split_by, {split: [7 * place + 9, 7 * place + 25] for place, split in enumerate(splits)})
    cache, outcome = prepared(dataset, "--split-by", split_by)
    check(cache, folder, splits)
    counts = {name: (split["refs"], split["images"], split["sentences"]) for name, split in outcome.data["splits"].items()}
    assert counts == dict.fromkeys(splits, (2, 2, 4))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("on_disk", ["{}", "25/images/{}"])
def test_refclef_is_prepared_with_flat_and_nested_names(prepared, build, nested, on_disk):
    folder = build.refclef("unc", REFCLEF_UNC, nested=nested, on_disk=on_disk)
    cache, outcome = prepared("refclef")
    check(cache, folder, ["train", "val", "testA", "testB", "testC"])
    assert [outcome.data["splits"][split]["refs"] for split in cache.splits] == [1, 1, 2, 3, 2]


def test_refclef_by_berkeley_is_prepared(prepared, build):
    folder = build.refclef("berkeley", ("train", "val", "test"))
    check(prepared("refclef", "--split-by", "berkeley")[0], folder, ["train", "val", "test"])


def test_refclefs_missing_images_are_named_and_left_out_on_demand(cmirnet, prepared, build):
    folder = build.refclef("unc", REFCLEF_UNC)
    for image_id in (1012, 1014):
        (folder.photographs / f"{image_id}.jpg").unlink()
    refused = cmirnet("prepare-data", "refclef", "--data", build.data, "--out", build.data.parent / "cache")
    assert refused.code == 3
    assert "1012.jpg: missing" in refused.err
    assert "1014.jpg: missing" in refused.err
    assert "--skip-bad" in refused.err
    assert not (build.data.parent / "cache").exists()
    cache, outcome = prepared("refclef", "--skip-bad")
    assert [Path(path).name for path in outcome.data["skipped"]] == ["1012.jpg", "1014.jpg"]
    assert outcome.err.count("left out: ") == 2
    assert cache.splits == ("val", "testA", "testB", "testC")


def test_grefcoco_unites_several_targets_and_keeps_sentences_without_any(prepared, build):
    folder = build.grefcoco()
    cache, outcome = prepared("grefcoco")
    check(cache, folder, ["train", "val", "testA", "testB"])
    assert outcome.data["splits"]["testA"] == {"refs": 3, "images": 1, "sentences": 4, "published": None}
    assert sum(not cache.mask(row, None).any() for row in cache.referent_rows("val")) == 1


def test_sentences_that_refer_to_nothing_are_scored(cmirnet, grefcoco, weights, tmp_path):
    outcome = cmirnet("eval", weights, "--cache", grefcoco / "cache", "--split", "all", "--out", tmp_path, "--device", "cpu", "--json")
    assert outcome.code == 0, outcome.err
    lines = [json.loads(line) for line in (tmp_path / "sentences.jsonl").read_text().splitlines()]
    assert len(lines) == 16
    nothing = [line for line in lines if line["sent_id"] % 4 == 3]
    assert [line[protocol]["intersection"] for line in nothing for protocol in ("paper", "original")] == [0] * 8


@pytest.mark.parametrize(
    ("home", "photographs", "images"),
    [
        ("rrsisd", "images/rrsisd/JPEGImages", None),
        ("RRSIS-D/rrsisd", "RRSIS-D/images/rrsisd/JPEGImages", None),
        ("rrsisd", "images/rrsisd", None),
        ("rrsisd", "rrsisd/images/JPEGImages", None),
        ("rrsisd", "elsewhere", "elsewhere"),
    ],
)
def test_rrsis_d_is_prepared_from_the_layouts_people_have(prepared, build, home, photographs, images):
    folder = build.rrsisd(home, photographs)
    given = ["--images", build.data / images] if images else []
    check(prepared("rrsisd", *given)[0], folder, ["train", "val", "test"])


def test_combined_trains_on_no_photograph_that_is_tested_on(prepared, build):
    three = [
        build.coco("refcoco", "unc", {"train": [1, 2, 3], "val": [4], "testA": [5], "testB": [6]}),
        build.coco("refcoco+", "unc", {"train": [1, 2, 7], "val": [8], "testA": [3], "testB": [6]}),
        build.coco("refcocog", "umd", {"train": [5, 8, 9], "val": [2, 6], "test": [10]}),
    ]
    cache, outcome = prepared("combined")
    assert cache.splits == ("train", "val")
    assert Path(outcome.data["cache"]).name == "combined-unc+umd"
    held_out = {ref["image_id"] for folder in three for ref in folder.refs if ref["split"] != "train"}
    held_out_bytes = {(folder.photographs / f"COCO_train2014_{number:012}.jpg").read_bytes() for folder in three for number in held_out}
    rows = {split: {cache.referent(row).image_row for row in cache.referent_rows(split)} for split in cache.splits}
    trained = {Path(cache.image_file(row)).read_bytes() for row in rows["train"]}
    assert len(trained) == 3
    assert not trained & held_out_bytes
    assert sorted(Path(cache.image_file(row)).stem[-2:] for row in rows["train"]) == ["01", "07", "09"]
    assert sorted(Path(cache.image_file(row)).stem[-2:] for row in rows["val"]) == ["02", "04", "08"]
    items = [item for split in cache.splits for item in EvaluationSet(cache, split, 64)]
    for sentence in (sentence for item in items for sentence in item.sentences):
        place, own = divmod(sentence.sent_id, 10_000_000)
        np.testing.assert_array_equal(sentence.original, three[place].truth[own])


def test_combined_says_what_it_left_out_and_finds_its_parts_below_one_folder(cmirnet, build):
    build.coco("refcoco", "unc", {"train": [1, 5], "val": [2], "testA": [3], "testB": [4]})
    build.coco("refcoco+", "unc", {"train": [1], "val": [2], "testA": [3], "testB": [4]})
    build.coco("refcocog", "umd", {"train": [1], "val": [2], "test": [5]})
    where = ["--annotations", build.data, "--images", build.data / "images"]
    outcome = cmirnet("prepare-data", "combined", *where, "--out", build.data.parent / "cache", "--size", 64)
    assert outcome.code == 0
    assert "1 of 4 train referents are left out: their photograph is in a val or test split of the three" in outcome.err


def test_combined_names_the_part_that_is_missing(cmirnet, build):
    build.coco("refcoco", "unc", {"train": [1], "val": [2], "testA": [3], "testB": [4]})
    outcome = cmirnet("prepare-data", "combined", "--data", build.data)
    assert outcome.code == 3
    assert "refcoco+ (unc) is not complete" in outcome.err


def test_any_folder_in_refer_layout_is_prepared_under_a_name_of_ones_own(prepared, build):
    folder = build.coco("cups", "me", {"train": [1, 2], "holdout": [3]})
    check(prepared("cups", "--split-by", "me")[0], folder, ["train", "holdout"])


def test_ones_own_jsonl_is_prepared(prepared, build):
    folder = build.coco("cups", "me", {"train": [1, 2], "val": [3]})
    masks = {ref["image_id"]: folder.truth[ref["sent_ids"][0]] for ref in folder.refs}
    names = {image["id"]: image["file_name"] for image in folder.images}
    lines = [
        {"image": names[1], "expression": "the first", "mask": "one.png", "split": "train"},
        {"image": names[2], "expression": "the second", "polygons": folder.annotations[1]["segmentation"], "split": "train"},
        {"image": names[3], "expression": "the third", "rle": build.run_lengths(masks[3]), "split": "val"},
        {"image": names[3], "expression": "nothing", "rle": [], "split": "val"},
    ]
    Image.fromarray(255 * masks[1]).save(folder.photographs / "one.png")
    (folder.photographs / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    cache, _ = prepared(folder.photographs / "mine.jsonl")
    found = {cache.referent(row).sentences[0].text: cache.mask(row, None) for split in cache.splits for row in cache.referent_rows(split)}
    truth = {"the first": masks[1], "the second": masks[2], "the third": masks[3], "nothing": 0 * masks[3]}
    assert found.keys() == truth.keys()
    for said, mask in truth.items():
        np.testing.assert_array_equal(found[said], mask)


@pytest.mark.parametrize("store", ["decoded", "encoded"])
def test_a_photograph_that_exif_turns_is_kept_as_people_see_it(prepared, tmp_path, store):
    upright = np.zeros((48, 32, 3), np.uint8)
    upright[6:26, 4:14] = (0, 255, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "photo.jpg", quality=95, subsampling=0, exif=exif)
    Image.fromarray(upright[..., 1]).save(tmp_path / "mask.png")
    line = {"image": "photo.jpg", "expression": "the green box", "mask": "mask.png", "split": "val"}
    (tmp_path / "mine.jsonl").write_text(json.dumps(line))
    cache, _ = prepared(tmp_path / "mine.jsonl", "--store", store)
    (item,) = EvaluationSet(cache, "val", 64)
    green, mask = item.image[..., 1] > 127, item.sentences[0].target > 0
    assert (green & mask).sum() > 0.95 * (green | mask).sum()
    assert item.sentences[0].original.shape == (48, 32)
