"""Parquet rows that hold pictures: every form of picture, outline and text that people push to a hub."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.images.masks import coco_rle
from cmirnet_cli.refer.own import ReadOptions
from cmirnet_cli.refer.readers import read_own, reader_of
from cmirnet_cli.refer.referent import ReferDataset
from tests.unit.refer.test_readers import HEIGHT, POINTS, SQUARE, TRIANGLE, WIDTH, mask_of, of_polygons, write_parquet

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

EXPECTED = of_polygons(SQUARE)
RLE = coco_rle(EXPECTED)
COUNTS = np.diff([0, *np.flatnonzero(np.diff(EXPECTED.T.ravel(), prepend=False)), EXPECTED.size]).tolist()


def encoded(pixels: np.ndarray, kind: str = "PNG", **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **how)
    return file.getvalue()


PHOTOGRAPH = encoded(np.full((HEIGHT, WIDTH, 3), 200, np.uint8), "JPEG")
MASK = encoded(EXPECTED.astype(np.uint8) * 255)
ROW = {"image": {"bytes": PHOTOGRAPH, "path": "1.jpg"}, "mask": {"bytes": MASK, "path": None}, "expression": "the red square"}


def write(folder: Path, *rows: dict[str, Any], name: str = "train-00000-of-00001.parquet") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), folder / name)
    return folder


def read(path: Path, *, skip_bad: bool = False, **options: Any) -> ReferDataset:
    reader = reader_of(path)
    assert reader is not None
    return read_own(path, reader, ReadOptions(**options), skip_bad=skip_bad)


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ROW.items() if name not in names}


def test_a_picture_of_a_row_is_unpacked_and_its_mask_read(tmp_path: Path):
    dataset = read(write(tmp_path, ROW, ROW | {"expression": "it"}))
    first, second = dataset.referents
    assert [sentence.text for sentence in first.sentences] == ["the red square"]
    assert (first.split, first.record, second.record) == ("train", "row 0", "row 1")
    assert first.image == second.image
    assert first.image.path.parent == tmp_path / "pictures"
    assert first.image.path.read_bytes() == PHOTOGRAPH
    assert (first.image.height, first.image.width, first.image.path.suffix) == (HEIGHT, WIDTH, ".jpg")
    np.testing.assert_array_equal(mask_of(first), EXPECTED)


@pytest.mark.parametrize("column", [{"img": {"bytes": PHOTOGRAPH, "path": None}}, {"picture": PHOTOGRAPH}, {"pixels": PHOTOGRAPH}])
def test_the_picture_is_found_by_the_name_or_the_type_of_its_column(tmp_path: Path, column: dict[str, Any]):
    (referent,) = read(write(tmp_path, without("image") | column)).referents
    assert referent.image.path.read_bytes() == PHOTOGRAPH


@pytest.mark.parametrize("image", ["photos/1.jpg", {"bytes": None, "path": "photos/1.jpg"}])
def test_a_picture_may_be_the_path_of_a_file(tmp_path: Path, image: Any):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(PHOTOGRAPH)
    (referent,) = read(write(tmp_path, ROW | {"image": image})).referents
    assert referent.image.path == tmp_path / "photos" / "1.jpg"
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize(
    "outline",
    [
        pytest.param({"mask": MASK}, id="bytes of a picture"),
        pytest.param({"masks": [{"bytes": MASK, "path": None}]}, id="a list of pictures"),
        pytest.param({"gt_mask": EXPECTED.astype(int).tolist()}, id="a matrix"),
        pytest.param({"mask": EXPECTED.tolist()}, id="a matrix of booleans"),
        pytest.param({"segmentation": SQUARE}, id="one polygon"),
        pytest.param({"polygons": [SQUARE]}, id="a list of polygons"),
        pytest.param({"polygon": POINTS}, id="one polygon of points"),
        pytest.param({"polygons": [POINTS]}, id="polygons of points"),
        pytest.param({"segmentation": json.dumps([SQUARE])}, id="polygons as JSON"),
        pytest.param({"rle": RLE}, id="an RLE"),
        pytest.param({"rle": RLE | {"counts": RLE["counts"].encode()}}, id="an RLE of bytes"),
        pytest.param({"rle": json.dumps(RLE)}, id="an RLE as JSON"),
        pytest.param({"segmentation": [RLE]}, id="a list of RLE"),
        pytest.param({"rle": {"size": [HEIGHT, WIDTH], "counts": COUNTS}}, id="an RLE of numbers"),
    ],
)
def test_every_form_of_outline_gives_the_same_mask(tmp_path: Path, outline: dict[str, Any]):
    (referent,) = read(write(tmp_path, without("mask") | outline)).referents
    np.testing.assert_array_equal(mask_of(referent), EXPECTED)


@pytest.mark.parametrize(
    "texts", [{"caption": "a b"}, {"sentences": ["a b"]}, {"sentences": [{"raw": "a b", "sent": "c"}]}, {"text": ["a b"]}]
)
def test_texts_may_be_one_or_a_list(tmp_path: Path, texts: dict[str, Any]):
    (referent,) = read(write(tmp_path, without("expression") | texts)).referents
    assert [sentence.text for sentence in referent.sentences] == ["a b"]


def test_a_column_of_text_may_be_chosen(tmp_path: Path):
    (referent,) = read(write(tmp_path, ROW | {"answer": ["left one", "red one"]}), text="answer").referents
    assert [sentence.text for sentence in referent.sentences] == ["left one", "red one"]
    with pytest.raises(AnnotationError, match=r"no annotation has one of expression.*; the fields are .*answer"):
        read(write(tmp_path, without("expression") | {"answer": "x"}))


def test_as_many_masks_as_expressions_are_a_mask_each_and_other_lists_one_referent(tmp_path: Path):
    other = encoded(of_polygons(TRIANGLE).astype(np.uint8) * 255)
    row = without("mask", "expression") | {"masks": [MASK, other]}
    first, second = read(write(tmp_path / "each", row | {"sentences": ["square", "triangle"]})).referents
    np.testing.assert_array_equal(mask_of(first), EXPECTED)
    np.testing.assert_array_equal(mask_of(second), of_polygons(TRIANGLE))
    assert [each.sentences[0].text for each in (first, second)] == ["square", "triangle"]
    (both,) = read(write(tmp_path / "both", row | {"sentences": ["both", "the shapes", "all"]})).referents
    np.testing.assert_array_equal(mask_of(both), of_polygons(SQUARE, TRIANGLE))


@pytest.mark.parametrize(
    ("name", "row", "split"),
    [
        ("validation-00000-of-00002.parquet", {}, "val"),
        ("test.parquet", {}, "test"),
        ("anything.parquet", {"split": "valid"}, "val"),
        ("testA-00000-of-00001.parquet", {"split": "testA"}, "testA"),
    ],
)
def test_splits_are_those_of_rows_or_of_file_names(tmp_path: Path, name: str, row: dict[str, str], split: str):
    assert read(write(tmp_path, ROW | row, name=name)).splits == (split,)


def test_rows_without_text_or_outline_are_left_out_and_counted(tmp_path: Path):
    dataset = read(write(tmp_path, ROW, ROW | {"expression": None}, ROW | {"mask": None}, ROW | {"mask": {"bytes": None, "path": None}}))
    assert len(dataset.referents) == 1
    assert [remark for remark in dataset.remarks if "1 rows without text" in remark]
    assert [remark for remark in dataset.remarks if "2 rows without outline" in remark]


def test_a_row_that_cannot_be_read_is_named_with_its_id_and_may_be_skipped(tmp_path: Path):
    folder = write(tmp_path, ROW | {"id": 70}, ROW | {"id": 71, "mask": {"bytes": b"no picture", "path": None}})
    with pytest.raises(AnnotationError, match=r"row 1 \(id 71\): field 'mask': its mask cannot be used"):
        read(folder)
    dataset = read(folder, skip_bad=True)
    assert [referent.record for referent in dataset.referents] == ["row 0 (id 70)"]
    assert len(dataset.left_out) == 1


def test_what_is_odd_about_a_mask_is_kept(tmp_path: Path):
    alpha = np.dstack([np.full((HEIGHT, WIDTH, 3), 255, np.uint8), EXPECTED.astype(np.uint8) * 255])
    grey = np.where(EXPECTED, np.uint8(2), np.uint8(1))
    rows = [ROW | {"mask": {"bytes": encoded(pixels), "path": None}} for pixels in (alpha, grey)]
    assert [referent.oddity for referent in read(write(tmp_path, *rows)).referents] == ["alpha", "background"]


@pytest.mark.parametrize("orientation", [3, 6])
def test_photographs_are_upright_unless_the_mask_lies(tmp_path: Path, orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = encoded(np.zeros((WIDTH, HEIGHT, 3) if orientation == 6 else (HEIGHT, WIDTH, 3), np.uint8), "JPEG", exif=exif)
    (upright,) = read(write(tmp_path / "upright", ROW | {"image": lying})).referents
    assert (upright.image.upright, upright.image.width) == (True, WIDTH)
    if orientation == 6:
        turned = encoded(np.ascontiguousarray(np.rot90(EXPECTED)).astype(np.uint8))
        (stored,) = read(write(tmp_path / "stored", ROW | {"image": lying, "mask": {"bytes": turned, "path": None}})).referents
        assert (stored.image.upright, stored.image.width) == (False, HEIGHT)


def test_a_record_that_comes_twice_is_a_fault(tmp_path: Path):
    file = write_parquet(tmp_path) / "train-00000-of-00001.parquet"
    (tmp_path / "train-00001-of-00002.parquet").write_bytes(file.read_bytes())
    with pytest.raises(AnnotationError, match="field 'ref_id' is 5, which occurs a second time"):
        read(tmp_path)
    assert len(read(tmp_path, skip_bad=True).referents) == 1


def test_columns_that_hold_neither_records_nor_pictures_are_listed(tmp_path: Path):
    with pytest.raises(
        AnnotationError, match=r"holds neither pictures with outlines nor REFER's records .* its columns are caption, number"
    ):
        read(write(tmp_path, {"caption": "x", "number": 3}))
