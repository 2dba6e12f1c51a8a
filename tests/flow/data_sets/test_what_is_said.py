"""What prepare-data says about a data set: counts beside the published ones, choices that are not legal, records that are wrong."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
from PIL import Image

from cmirnet_cli.commands.prepare_data import DatasetName
from cmirnet_cli.refer.registry import SPLITS


def test_counts_that_differ_from_the_published_ones_are_said_with_both_numbers(cmirnet, build):
    build.coco("refcocog", "umd", {"train": [1], "val": [2, 3]})
    outcome = cmirnet("prepare-data", "refcocog", "--data", build.data, "--out", build.data.parent / "cache", "--size", 64)
    assert outcome.code == 0
    warnings = [line for line in outcome.err.splitlines() if line.startswith("warning: ")]
    numbers = "{} referents instead of {}, {} images instead of {}, {} sentences instead of {}"
    differ = f"warning: the counts of {{}} differ from the published ones: {numbers}"
    assert warnings == [
        differ.format("train", 1, "42,226", 1, "21,899", 2, "80,512 (unconfirmed)"),
        differ.format("val", 2, "2,573", 2, "1,300", 4, "4,896"),
        differ.format("test", 0, "5,023", 0, "2,600", 0, "9,602"),
        differ.format("total", 3, "49,822", 3, "25,799", 6, "95,010 (unconfirmed)"),
    ]
    as_json = cmirnet("prepare-data", "refcocog", "--data", build.data, "--out", build.data.parent / "cache", "--size", 64, "--json").data
    published = {"refs": 2573, "images": 1300, "sentences": 4896, "unconfirmed": []}
    assert as_json["splits"]["val"] == {"refs": 2, "images": 2, "sentences": 4, "published": published}


def test_counts_of_ones_own_data_are_compared_with_nothing(cmirnet, build):
    build.coco("cups", "me", {"train": [1]})
    outcome = cmirnet("prepare-data", "cups", "--split-by", "me", "--data", build.data, "--out", build.data.parent / "cache", "--size", 64)
    assert "warning" not in outcome.err
    assert "published" not in outcome.out


def test_photographs_of_val_that_are_in_train_too_are_counted_with_one_of_them(cmirnet, tmp_path):
    for number in (1, 2, 3):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / f"{number}.png")
    line = {"expression": "it", "polygons": [[2, 2, 20, 2, 20, 20]]}
    places = ((1, "train"), (2, "train"), (2, "val"), (2, "val"), (3, "val"))
    lines = [json.dumps(line | {"image": f"{number}.png", "split": split}) for number, split in places]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    words = ["prepare-data", tmp_path / "mine.jsonl", "--out", tmp_path / "cache", "--size", 32]
    outcome = cmirnet(*words)
    assert outcome.code == 0
    assert "warning: 1 of 2 photographs of val is in train, too, such as 2.png: its scores will be too high" in outcome.err
    shared = {"split": "val", "shared": 1, "images": 2, "example": str(tmp_path / "2.png")}
    assert cmirnet(*words, "--json").data["shared_with_train"] == [shared]


def test_images_of_16_bits_that_use_fewer_are_said_with_their_range(cmirnet, tmp_path):
    for number in (1, 2):
        Image.fromarray(np.arange(0, 4096, 4, dtype=np.uint16).reshape(32, 32)).save(tmp_path / f"{number}.png")
    line = {"expression": "it", "polygons": [[2, 2, 20, 2, 20, 20]]}
    lines = [json.dumps(line | {"image": f"{number}.png", "split": split}) for number, split in ((1, "train"), (2, "val"))]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    words = ["prepare-data", tmp_path / "mine.jsonl", "--out", tmp_path / "cache", "--size", 32]
    said = f"2 images of 16 bits scaled by their own range, as they use fewer: {tmp_path / '1.png'} from 0 to 4092"
    assert said in cmirnet(*words).err
    assert [each["high"] for each in cmirnet(*words, "--json").data["scaled"]] == [4092, 4092]
    decoder = cmirnet("cache", "info", tmp_path / "cache", "--json").data["decoder"]
    assert decoder.endswith("2 of 16 bits scaled by their own range")


def test_a_wrong_division_is_refused_with_the_legal_ones(cmirnet, build):
    outcome = cmirnet("prepare-data", "refcocog", "--split-by", "unc", "--data", build.data)
    assert outcome.code == 2
    assert "refcocog has no split_by 'unc'; it has umd and google" in outcome.err


def test_a_wrong_split_is_refused_with_the_legal_ones(cmirnet, prepared, build, weights):
    build.coco("refcocog", "umd", {"train": [1], "val": [2], "test": [3]})
    cache, _ = prepared("refcocog")
    outcome = cmirnet("eval", weights, "--cache", cache.folder, "--split", "testA")
    assert outcome.code == 3
    assert "its splits are train, val, test" in outcome.err


def test_options_that_a_jsonl_file_answers_itself_are_refused(cmirnet, tmp_path):
    outcome = cmirnet("prepare-data", tmp_path / "mine.jsonl", "--split-by", "me", "--images", tmp_path)
    assert outcome.code == 2
    assert "--split-by and --images cannot be used with" in outcome.err


def test_an_outline_that_cannot_be_drawn_is_named_by_its_referent(cmirnet, build):
    folder = build.coco("cups", "me", {"train": [1, 2]})
    folder.annotations[1]["segmentation"] = [[1, 2, 3, 4]]
    folder.write("refs(me).p")
    outcome = cmirnet("prepare-data", "cups", "--split-by", "me", "--data", build.data, "--out", build.data.parent / "cache")
    assert outcome.code == 3
    assert "ref 1 on COCO_train2014_000000000002.jpg: the polygon [1, 2, 3, 4] is malformed" in outcome.err
    assert not list((build.data.parent / "cache").glob("*"))


def test_help_names_every_data_set():
    assert all(f"{dataset}, " in get_args(DatasetName)[1].help for dataset in SPLITS)
