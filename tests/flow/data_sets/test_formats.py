"""What annotation tools export goes into a cache with one command, and what nobody reads is named."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.cache.reader import Cache

RED, BLUE = "the red box", "blue ball on the right"
CASES = [
    ("01-coco-caption-json", ["instances.json"], "instances-coco", [RED, BLUE] * 2),
    ("01-coco-caption-json", ["_annotations.coco.json"], "annotations-coco", [RED, BLUE] * 2),
    ("01-coco-caption-json", ["instances.json", "--text", "category", "--format", "coco"], "instances-coco", ["box", "ball"] * 2),
    ("02-labelme-folder", ["labelme"], "labelme-labelme", ["red box on the left"] * 2),
    ("02-labelme-folder", ["labelme/0001.json", "--text", "label"], "0001-labelme", [RED]),
    ("04-cvat-xml-attribute", ["annotations.xml"], "annotations-cvat", [RED]),
    ("05-phrasecut-json", ["refer_train.json"], "refer_train-phrasecut", ["red box"]),
    ("05-phrasecut-json", ["phrasecut", "--split-by", "train", "--annotations", ".", "--images", "images"], "phrasecut-train", ["red box"]),
    ("23-backslash-paths", ["backslash.jsonl"], "backslash-jsonl", [RED] * 2),
]


@pytest.mark.parametrize(("folder", "words", "name", "expressions"), CASES)
def test_files_of_users_are_prepared_with_one_command(
    cmirnet, shared_cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder, words, name, expressions
):
    monkeypatch.chdir(shared_cases / folder)
    ended = cmirnet("prepare-data", *words, "--size", 96, "--out", tmp_path, "--json")
    assert ended.code == 0, ended.err
    cache = Cache.open(tmp_path / name)
    rows = [row for split in cache.splits for row in cache.referent_rows(split)]
    found = [(sentence.text, int(cache.mask(int(row), None).sum())) for row in rows for sentence in cache.referent(int(row)).sentences]
    assert sorted(text for text, _ in found) == sorted(expressions)
    boxes = [pixels for text, pixels in found if "box" in text]
    assert set(boxes) == {50 * 50}, "the box is 50 pixels wide and high in all of them"


def test_the_format_is_said_and_a_folder_of_none_names_those_that_are_read(cmirnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Image.new("RGB", (20, 10)).save(tmp_path / "1.jpg")
    line = {"image": "1.jpg", "expression": "it", "polygons": [[0, 0, 9, 0, 9, 9]], "split": "train"}
    (tmp_path / "mine.json").write_text(json.dumps([line]))
    ended = cmirnet("prepare-data", tmp_path / "mine.json", "--size", 96, "--out", tmp_path / "cache")
    assert ended.code == 0
    assert "is read as JSONL" in ended.err
    (tmp_path / "yolo" / "labels").mkdir(parents=True)
    refused = cmirnet("prepare-data", tmp_path / "yolo", "--out", tmp_path / "cache")
    assert refused.code == 3
    assert "is YOLO, which cmirnet does not read" in refused.err
    assert ".jsonl" in refused.err
    monkeypatch.chdir(tmp_path)
    assert "is YOLO, which cmirnet does not read" in cmirnet("prepare-data", "yolo").err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["refcoco", "--annotations", ".", "--images", "."], 3, "refcoco (unc) is not complete; missing:"),
        (["refcoco", "--format", "coco"], 2, "is in REFER layout, to which --format and --text do not apply"),
        (["hf://refcoco"], 3, "is not a data set on the hub"),
    ],
)
def test_what_cannot_be_read_ends_with_a_reason_and_no_bug(
    cmirnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str
):
    monkeypatch.chdir(tmp_path)
    refused = cmirnet("prepare-data", *words)
    assert (refused.code, message in refused.err, "bug" in refused.err) == (code, True, False), refused.err


def test_masks_of_a_category_are_united(cmirnet, shared_cases: Path, tmp_path: Path):
    top = json.loads((shared_cases / "01-coco-caption-json" / "instances.json").read_text())
    for each in top["annotations"]:
        each["category_id"] = 1
    (tmp_path / "a.json").write_text(json.dumps(top))
    source = shared_cases / "01-coco-caption-json"
    ended = cmirnet("prepare-data", tmp_path / "a.json", "--images", source, "--text", "category", "--size", 96, "--out", tmp_path)
    assert ended.code == 0, ended.err
    cache = Cache.open(tmp_path / "a-coco")
    masks = [cache.mask(int(row), None) for split in cache.splits for row in cache.referent_rows(split)]
    assert len(masks) == 2
    assert all(mask[60, 40] and mask[90, 130] and not mask[5, 5] for mask in masks)
    np.testing.assert_array_equal(masks[0], masks[1])


def test_parquet_with_pictures_is_prepared_with_one_command(cmirnet, tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 10:25] = 255
    rows = []
    for place in range(2):
        pictures = {"image": Image.fromarray(np.full((30, 40, 3), 100 + place, np.uint8)), "mask": Image.fromarray(mask)}
        row: dict[str, object] = {"sentences": [RED, BLUE], "split": ("train", "validation")[place]}
        for name, picture in pictures.items():
            file = io.BytesIO()
            picture.save(file, "PNG")
            row[name] = {"bytes": file.getvalue(), "path": f"{place}.png"}
        rows.append(row)
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "mine.parquet")
    ended = cmirnet("prepare-data", tmp_path / "mine.parquet", "--size", 96, "--out", tmp_path / "cache", "--json")
    assert ended.code == 0, ended.err
    cache = Cache.open(tmp_path / "cache" / "mine-parquet")
    assert cache.splits == ("train", "val")
    assert [sentence.text for sentence in cache.referent(1).sentences] == [RED, BLUE]
    np.testing.assert_array_equal(cache.mask(1, None), mask // 255)
    assert np.all(cache.image(1, 96) == 101)
