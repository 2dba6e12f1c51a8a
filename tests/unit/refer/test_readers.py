"""Readers of one's own files: each recognises its own format and no other, and gives the masks that were drawn."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from cmirnet_cli.errors import AnnotationError, UsageError
from cmirnet_cli.images.masks import rasterise
from cmirnet_cli.refer.own import ReadOptions
from cmirnet_cli.refer.readers import READERS, name_of, not_recognised, read_own, reader_of, unread_format
from cmirnet_cli.refer.records import adding_to
from cmirnet_cli.refer.referent import ReferDataset, Referent

WIDTH, HEIGHT = 40, 30
SQUARE = [5, 5, 25, 5, 25, 20, 5, 20]
TRIANGLE = [30, 10, 38, 25, 28, 25]
POINTS = [SQUARE[place : place + 2] for place in range(0, 8, 2)]
BIT = np.array([[1, 0, 1], [1, 1, 0]], np.uint8)
"""A mask of 3×2 pixels that is drawn as a picture, or as runs, at (4, 7)."""


def draw(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 30)).save(path)


def of_polygons(*polygons: list[float]) -> np.ndarray:
    """bool (HEIGHT, WIDTH) as pycocotools draws them together."""
    return coco.decode(coco.merge(coco.frPyObjects(list(polygons), HEIGHT, WIDTH))).astype(bool)


def mask_of(referent: Referent) -> np.ndarray:
    return rasterise(referent.objects, referent.image.height, referent.image.width).astype(bool)


def coco_top(folder: Path, name: str = "1.jpg", **annotation: Any) -> dict[str, Any]:
    draw(folder / name)
    first = {"id": 7, "image_id": 1, "category_id": 3, "segmentation": [SQUARE], "bbox": [5, 5, 20, 15], "area": 300, "iscrowd": 0}
    second = first | {"id": 8, "segmentation": [TRIANGLE]}
    return {
        "images": [{"id": 1, "file_name": name, "width": WIDTH, "height": HEIGHT}],
        "annotations": [first | {"caption": "the red square"} | annotation, second | {"caption": "a triangle"} | annotation],
        "categories": [{"id": 3, "name": "shape"}],
    }


def labelme_top(folder: Path, *shapes: dict[str, Any], name: str = "1.jpg") -> dict[str, Any]:
    draw(folder / name)
    usual = {"label": "shape", "description": "the red square", "shape_type": "polygon", "points": POINTS, "group_id": None}
    return {
        "version": "5.4.1",
        "imagePath": name,
        "imageWidth": WIDTH,
        "imageHeight": HEIGHT,
        "shapes": [usual | each for each in shapes or [{}]],
    }


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><job/></meta>
<image id="0" name="1.jpg" width="40" height="30" subset="Validation">{}</image></annotations>"""
CVAT_POLYGON = '<polygon label="shape" points="5,5;25,5;25,20;5,20"><attribute name="expression">the red square</attribute></polygon>'


def write_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_coco(folder: Path) -> Path:
    return write_json(folder / "export.json", coco_top(folder))


def write_labelme(folder: Path) -> Path:
    write_json(folder / "1.json", labelme_top(folder))
    return folder


def write_cvat(folder: Path) -> Path:
    draw(folder / "images" / "1.jpg")
    (folder / "annotations.xml").write_text(CVAT.format(CVAT_POLYGON))
    return folder / "annotations.xml"


def write_reasonseg(folder: Path) -> Path:
    draw(folder / "val" / "1.jpg")
    shapes = [{"label": "target", "points": POINTS}, {"label": "flag", "points": [[0, 0], [1, 0], [1, 1]]}]
    write_json(folder / "val" / "1.json", {"text": ["the red square"], "is_sentence": True, "shapes": shapes})
    return folder


def write_phrasecut(folder: Path) -> Path:
    draw(folder / "images" / "2.jpg")
    task = {"task_id": "2__0", "image_id": 2, "phrase": "the red square", "Polygons": [[POINTS]], "phrase_structure": {"name": "shape"}}
    return write_json(folder / "refer_miniv.json", [task])


def write_parquet(folder: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    draw(folder / "images" / "1.jpg")
    row = {
        **{"ref_id": 5, "image_id": 1, "split": "train", "ann_id": 7, "file_name": "1_5.jpg"},
        "sentences": [{"raw": "the red square", "sent": "red square", "sent_id": 9, "tokens": ["red", "square"]}],
        "raw_anns": json.dumps({"id": 7, "segmentation": [SQUARE]}),
        "raw_image_info": json.dumps({"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT}),
    }
    parquet.write_table(pyarrow.Table.from_pylist([row]), folder / "train-00000-of-00001.parquet")
    return folder


def write_jsonl(folder: Path) -> Path:
    draw(folder / "photos" / "1.jpg")
    line = {"image": "photos/1.jpg", "expression": "the red square", "polygons": [SQUARE], "split": "train"}
    (folder / "mine.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(line | {"expression": "it", "split": "val"}))
    return folder / "mine.jsonl"


WRITERS: dict[str, Callable[[Path], Path]] = {
    "jsonl": write_jsonl,
    "coco": write_coco,
    "labelme": write_labelme,
    "cvat": write_cvat,
    "reasonseg": write_reasonseg,
    "phrasecut": write_phrasecut,
    "parquet": write_parquet,
}


def read(path: Path, **options: Any) -> ReferDataset:
    reader = reader_of(path)
    assert reader is not None
    return read_own(path, reader, ReadOptions(**options))


def test_every_reader_has_a_fixture_here():
    assert list(WRITERS) == [reader.key for reader in READERS]


@pytest.mark.parametrize("key", WRITERS)
def test_a_format_is_recognised_by_its_own_reader_alone(key: str, tmp_path: Path):
    path = WRITERS[key](tmp_path)
    assert [reader.key for reader in READERS if reader.recognises(path)] == [key]
    assert [reader.key for reader in READERS if reader.recognises(tmp_path)] == [key]


@pytest.mark.parametrize("key", WRITERS)
def test_a_format_gives_expression_mask_and_image(key: str, tmp_path: Path):
    dataset = read(WRITERS[key](tmp_path))
    first = dataset.referents[0]
    assert first.sentences[0].text == "the red square"
    assert (first.image.width, first.image.height, first.image.path.is_file()) == (WIDTH, HEIGHT, True)
    np.testing.assert_array_equal(mask_of(first), of_polygons(SQUARE))
    assert dataset.split_by == key
    assert all(file.is_file() for file in dataset.annotation_files)


@pytest.mark.parametrize(
    ("key", "split"), [("jsonl", "train val"), ("cvat", "val"), ("reasonseg", "val"), ("phrasecut", "miniv"), ("parquet", "train")]
)
def test_a_split_that_the_files_name_is_taken(key: str, split: str, tmp_path: Path):
    assert read(WRITERS[key](tmp_path)).splits == tuple(split.split())


def test_a_name_without_its_suffix_says_nothing_about_the_format(tmp_path: Path):
    path = write_coco(tmp_path).rename(tmp_path / "export.txt")
    reader = reader_of(path)
    assert reader is not None
    assert reader.key == "coco"
    (tmp_path / "empty.json").write_text("no JSON")
    assert reader_of(tmp_path / "empty.json") is None


def test_two_formats_in_one_folder_are_refused_until_one_is_named(tmp_path: Path):
    write_coco(tmp_path)
    write_cvat(tmp_path)
    with pytest.raises(UsageError, match="holds COCO instances with text and CVAT for images") as caught:
        reader_of(tmp_path)
    assert caught.value.hint == "choose with --format coco or --format cvat"
    assert reader_of(tmp_path, "cvat") == next(reader for reader in READERS if reader.key == "cvat")
    with pytest.raises(AnnotationError, match="holds nothing in the format LabelMe"):
        reader_of(tmp_path, "labelme")
    with pytest.raises(UsageError, match="there is no format 'yolo'"):
        reader_of(tmp_path, "yolo")


@pytest.mark.parametrize(
    "annotation",
    [
        {"caption": None, "phrase": "found"},
        {"caption": "", "attributes": {"expression": "found", "occluded": False}},
        {"caption": None, "sentences": [{"raw": "found", "sent": "f"}, {"raw": "found", "sent": "g"}]},
        {"caption": None, "captions": ["found"]},
    ],
)
def test_coco_text_may_stand_in_any_usual_field_or_attribute(annotation: dict[str, Any], tmp_path: Path):
    top = coco_top(tmp_path, **annotation)
    referents = read(write_json(tmp_path / "a.json", top)).referents
    assert {sentence.text for each in referents for sentence in each.sentences} == {"found"}


def test_coco_text_of_a_chosen_field_is_taken_in_place_of_the_usual_ones(tmp_path: Path):
    path = write_json(tmp_path / "a.json", coco_top(tmp_path, note="mine"))
    assert {each.sentences[0].text for each in read(path, text="note").referents} == {"mine"}


def test_coco_categories_become_one_expression_each_with_the_union_as_mask(tmp_path: Path):
    (one,) = read(write_coco(tmp_path), text="category").referents
    assert [sentence.text for sentence in one.sentences] == ["shape"]
    np.testing.assert_array_equal(mask_of(one), of_polygons(SQUARE, TRIANGLE))


def test_roboflow_folders_are_splits_and_files_of_one_name_in_two_of_them_two_images(tmp_path: Path):
    for place, folder in enumerate(("train", "valid", "test")):
        top = coco_top(tmp_path / folder)
        draw(tmp_path / folder / "1.jpg", (WIDTH, HEIGHT + place))
        top["images"][0]["height"] += place
        write_json(tmp_path / folder / "_annotations.coco.json", top)
    dataset = read(tmp_path)
    assert dataset.splits == ("test", "train", "val")
    assert sorted((image.image_id, image.height) for image in dataset.images) == [
        ("test/1.jpg", 32),
        ("train/1.jpg", 30),
        ("valid/1.jpg", 31),
    ]


def test_a_roboflow_split_without_annotations_is_left_out_in_words(tmp_path: Path):
    write_json(tmp_path / "train" / "_annotations.coco.json", coco_top(tmp_path / "train"))
    write_json(tmp_path / "test" / "_annotations.coco.json", coco_top(tmp_path / "test") | {"annotations": []})
    dataset = read(tmp_path)
    assert {each.split for each in dataset.referents} == {"train"}
    assert any("test/_annotations.coco.json has no annotations" in remark for remark in dataset.remarks)


def test_coco_annotations_without_text_or_outline_are_left_out_and_counted(tmp_path: Path):
    top = coco_top(tmp_path)
    top["annotations"] += [
        top["annotations"][0] | {"id": 20, "caption": ""},
        top["annotations"][0] | {"id": 21, "segmentation": []},
    ]
    dataset = read(write_json(tmp_path / "a.json", top))
    assert len(dataset.referents) == 2
    assert [remark for remark in dataset.remarks if "1 annotations without a text" in remark]
    assert [remark for remark in dataset.remarks if "1 annotations have a text and no outline" in remark]


def test_coco_without_any_text_names_the_fields_that_are_there(tmp_path: Path):
    top = coco_top(tmp_path, caption=None, colour="red")
    with pytest.raises(AnnotationError, match=r"no annotation has one of expression, .*; the fields are .*colour") as caught:
        read(write_json(tmp_path / "a.json", top))
    assert "--text category" in str(caught.value.hint)
    with pytest.raises(AnnotationError, match="no annotation has the field 'label'"):
        read(tmp_path / "a.json", text="label")


def test_coco_without_categories_is_read(tmp_path: Path):
    top = coco_top(tmp_path)
    del top["categories"]
    assert [each.sentences[0].text for each in read(write_json(tmp_path / "a.json", top)).referents] == ["the red square", "a triangle"]


def test_coco_of_boxes_alone_is_refused(tmp_path: Path):
    with pytest.raises(AnnotationError, match="2 annotations have a text, and none of them has an outline"):
        read(write_json(tmp_path / "a.json", coco_top(tmp_path, segmentation=[])))


def test_the_objects_of_refer_layout_are_told_from_coco_with_text(tmp_path: Path):
    write_json(tmp_path / "instances.json", coco_top(tmp_path, caption=None))
    (tmp_path / "refs(unc).p").touch()
    with pytest.raises(AnnotationError, match="holds objects and no expressions") as caught:
        read(tmp_path / "instances.json")
    assert "REFER layout" in str(caught.value.hint)


def test_labelme_takes_the_description_else_the_label_or_what_is_chosen(tmp_path: Path):
    write_json(tmp_path / "1.json", labelme_top(tmp_path, {}, {"description": "", "points": [[1, 1], [4, 1], [4, 4]]}))
    assert [each.sentences[0].text for each in read(tmp_path).referents] == ["the red square", "shape"]
    assert {each.sentences[0].text for each in read(tmp_path, text="label").referents} == {"shape"}


def test_labelme_shapes_of_one_group_are_one_referent(tmp_path: Path):
    triangle = [TRIANGLE[place : place + 2] for place in range(0, 6, 2)]
    write_json(tmp_path / "1.json", labelme_top(tmp_path, {"group_id": 4}, {"group_id": 4, "points": triangle}, {"points": triangle}))
    first, second = read(tmp_path).referents
    np.testing.assert_array_equal(mask_of(first), of_polygons(SQUARE, TRIANGLE))
    np.testing.assert_array_equal(mask_of(second), of_polygons(TRIANGLE))


def test_labelme_rectangles_circles_and_masks_are_outlines_and_lines_are_left_out(tmp_path: Path):
    png = io.BytesIO()
    Image.fromarray(BIT * 255).save(png, "PNG")
    drawn = {"shape_type": "mask", "points": [[4, 7], [6, 8]], "mask": base64.b64encode(png.getvalue()).decode()}
    shapes = [
        {"shape_type": "rectangle", "points": [[25, 20], [5, 5]]},
        {"shape_type": "circle", "points": [[20, 15], [20, 5]]},
        drawn,
        {"shape_type": "line", "points": [[1, 1], [2, 2]]},
    ]
    write_json(tmp_path / "1.json", labelme_top(tmp_path, *shapes))
    dataset = read(tmp_path)
    rectangle, circle, mask = map(mask_of, dataset.referents)
    np.testing.assert_array_equal(rectangle, of_polygons(SQUARE))
    assert abs(circle.sum() - np.pi * 100) < 12
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[7:9, 4:7] = BIT
    np.testing.assert_array_equal(mask, expected)
    assert [remark for remark in dataset.remarks if "1 shapes without a text or an area" in remark]


@pytest.mark.parametrize("kind", ["rotation", "oriented_rectangle"])
def test_labelme_rectangles_that_stand_askew_are_their_corners(kind: str, tmp_path: Path):
    askew = [[10, 2], [30, 12], [25, 22], [5, 12]]
    write_json(tmp_path / "1.json", labelme_top(tmp_path, {"shape_type": kind, "points": askew}))
    (referent,) = read(tmp_path).referents
    assert np.array_equal(mask_of(referent), of_polygons([number for point in askew for number in point]))


def test_labelme_without_its_photograph_is_read_with_the_one_inside(tmp_path: Path):
    top = labelme_top(tmp_path)
    content = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").unlink()
    write_json(tmp_path / "1.json", top | {"imageData": base64.b64encode(content).decode()})
    (image,) = read(tmp_path).images
    assert (image.path.parent, image.path.read_bytes()) == (tmp_path / "pictures", content)
    write_json(tmp_path / "1.json", top | {"imageData": "no picture"})
    with pytest.raises(AnnotationError, match="field 'imageData' is not a picture"):
        read(tmp_path)


@pytest.mark.parametrize("key", ["labelme", "reasonseg"])
def test_another_json_that_comes_first_does_not_hide_a_format(key: str, tmp_path: Path):
    path = WRITERS[key](tmp_path)
    write_json(next(path.rglob("1.json")).with_name("0-classes.json"), {"classes": ["shape"]})
    assert (reader := reader_of(path)) is not None
    assert reader.key == key
    assert len(read_own(path, reader, ReadOptions(), skip_bad=True).referents) == 1


def test_where_all_records_have_faults_these_are_listed_and_nothing_else(tmp_path: Path):
    write_json(tmp_path / "1.json", labelme_top(tmp_path, {"points": POINTS[:2]}, {"points": [[1, 2, 3]]}))
    with pytest.raises(AnnotationError, match="2 records cannot be read") as caught:
        read(tmp_path)
    assert "no annotation has" not in caught.value.message


def test_faults_do_not_keep_alive_what_was_read(tmp_path: Path):
    faults: list[AnnotationError] = []
    try:
        raise AnnotationError("wrong", hint="right")
    except AnnotationError as error:
        adding_to(faults)(error)
    assert [(each.message, each.hint, each.__traceback__) for each in faults] == [("wrong", "right", None)]


def test_the_subset_of_cvat_that_stands_for_none_is_no_split(tmp_path: Path):
    path = write_cvat(tmp_path)
    path.write_text(path.read_text().replace('subset="Validation"', 'subset="default"'))
    assert {each.split for each in read(path).referents} == {"train"}


def test_cvat_for_video_is_named(tmp_path: Path):
    track = '<track id="0" label="cup"><polygon frame="0" points="1,2;3,4;5,6"/></track>'
    (tmp_path / "annotations.xml").write_text(f"<annotations><version>1.1</version><meta/>{track}</annotations>")
    with pytest.raises(AnnotationError, match="CVAT for video"):
        read(tmp_path)


@pytest.mark.parametrize("key", ["cvat", "labelme"])
def test_the_way_to_a_text_that_a_hint_names_is_one(key: str, tmp_path: Path):
    path = WRITERS[key](tmp_path)
    with pytest.raises(AnnotationError, match="no annotation has the field 'nothing'") as caught:
        read(path, text="nothing")
    assert "--text label" in str(caught.value.hint)
    assert [each.sentences[0].text for each in read(path, text="label").referents] == ["shape"]


def test_cvat_masks_boxes_and_groups_are_read(tmp_path: Path):
    expression = '<attribute name="expression">{}</attribute>'
    shapes = [
        f'<mask label="shape" left="4" top="7" width="3" height="2" rle="0, 1, 1, 3, 1">{expression.format("bit")}</mask>',
        f'<box label="shape" xtl="5" ytl="5" xbr="25" ybr="20" group_id="2">{expression.format("both")}</box>',
        f'<polygon label="shape" points="30,10;38,25;28,25" group_id="2">{expression.format("both")}</polygon>',
        f'<points label="shape" points="1,1">{expression.format("a point")}</points>',
    ]
    draw(tmp_path / "1.jpg")
    (tmp_path / "a.xml").write_text(CVAT.format("".join(shapes)))
    bit, both = read(tmp_path / "a.xml").referents
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[7:9, 4:7] = BIT
    np.testing.assert_array_equal(mask_of(bit), expected)
    np.testing.assert_array_equal(mask_of(both), of_polygons(SQUARE, TRIANGLE))


def test_cvat_text_may_be_the_label_or_a_chosen_attribute(tmp_path: Path):
    draw(tmp_path / "1.jpg")
    (tmp_path / "a.xml").write_text(CVAT.format(CVAT_POLYGON.replace("expression", "note")))
    assert read(tmp_path / "a.xml", text="note").referents[0].sentences[0].text == "the red square"
    assert read(tmp_path / "a.xml", text="label").referents[0].sentences[0].text == "shape"


def test_xml_that_declares_entities_is_refused_unread(tmp_path: Path):
    bomb = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;&b;">]>'
    (tmp_path / "a.xml").write_text(CVAT.format(CVAT_POLYGON).replace("<annotations>", f"{bomb}<annotations>", 1))
    with pytest.raises(AnnotationError, match="declares a document type"):
        read(tmp_path / "a.xml")


def test_what_reasonseg_ignores_is_taken_out_of_the_target(tmp_path: Path):
    write_reasonseg(tmp_path)
    hole = [10, 8, 15, 8, 15, 12, 10, 12]
    top = json.loads((tmp_path / "val" / "1.json").read_text())
    top["shapes"].insert(0, {"label": "ignore", "points": [hole[place : place + 2] for place in range(0, 8, 2)]})
    write_json(tmp_path / "val" / "1.json", top)
    dataset = read(tmp_path)
    np.testing.assert_array_equal(mask_of(dataset.referents[0]), of_polygons(SQUARE) & ~of_polygons(hole))
    assert [remark for remark in dataset.remarks if "1 areas to ignore count as background" in remark]


def test_the_instances_of_a_phrase_are_united(tmp_path: Path):
    write_phrasecut(tmp_path)
    triangle = [TRIANGLE[place : place + 2] for place in range(0, 6, 2)]
    task = json.loads((tmp_path / "refer_miniv.json").read_text())[0] | {"Polygons": [[POINTS], [triangle]]}
    write_json(tmp_path / "refer_miniv.json", [task])
    np.testing.assert_array_equal(mask_of(read(tmp_path).referents[0]), of_polygons(SQUARE, TRIANGLE))


def test_where_no_split_is_named_images_are_dealt_out_the_same_way_every_time(tmp_path: Path):
    top = coco_top(tmp_path)
    for number in range(2, 21):
        draw(tmp_path / f"{number}.jpg")
        top["images"].append({"id": number, "file_name": f"{number}.jpg", "width": WIDTH, "height": HEIGHT})
        top["annotations"].append(top["annotations"][0] | {"id": 100 + number, "image_id": number})
    path = write_json(tmp_path / "a.json", top)
    dealt = [{each.image.image_id: each.split for each in read(path, val_share=0.25).referents} for _ in range(2)]
    assert dealt[0] == dealt[1]
    assert sorted(dealt[0].values()) == ["train"] * 15 + ["val"] * 5
    assert read(path, val_share=0.0).splits == ("train",)
    with pytest.raises(UsageError, match="not a share"):
        read(path, val_share=1.0)


@pytest.mark.parametrize(("stored", "annotated", "upright"), [((40, 30), (30, 40), True), ((40, 30), (40, 30), False)])
def test_the_annotated_size_says_which_way_up_a_turned_photograph_was_drawn(stored, annotated, upright, tmp_path: Path):
    turned = Image.new("RGB", stored)
    exif = turned.getexif()
    exif[0x0112] = 6
    top = coco_top(tmp_path)
    turned.save(tmp_path / "1.jpg", exif=exif)
    top["images"][0] |= {"width": annotated[0], "height": annotated[1]}
    assert read(write_json(tmp_path / "a.json", top)).images[0].upright is upright


@pytest.mark.parametrize("size", [(1 << 20, 1 << 20), (-3, 5)])
def test_an_image_of_an_impossible_size_is_refused_before_its_mask_is_drawn(size: tuple[int, int], tmp_path: Path):
    top = labelme_top(tmp_path, {"shape_type": "mask", "points": [[0, 0], [1, 1]], "mask": ""})
    write_json(tmp_path / "1.json", top | {"imageWidth": size[0], "imageHeight": size[1]})
    with pytest.raises(AnnotationError, match="pixels cannot be read"):
        read(tmp_path)


def test_paths_of_windows_are_read(tmp_path: Path):
    top = coco_top(tmp_path, name="photos/1.jpg")
    top["images"][0]["file_name"] = "photos\\1.jpg"
    assert read(write_json(tmp_path / "a.json", top)).images[0].path == tmp_path / "photos" / "1.jpg"


@pytest.mark.parametrize("name", ["train2017/1.jpg", "/home/ann/data/1.jpg", "http://images.org/train/1.jpg", "..\\photos\\1.jpg"])
def test_a_photograph_that_was_moved_is_found_under_the_last_part_of_its_name(name: str, tmp_path: Path):
    top = coco_top(tmp_path)
    top["images"][0]["file_name"] = name
    assert read(write_json(tmp_path / "a.json", top)).images[0].path == tmp_path / "1.jpg"


def test_one_photograph_does_not_stand_for_two_of_the_same_name(tmp_path: Path):
    top = coco_top(tmp_path)
    top["images"] = [top["images"][0] | {"id": number, "file_name": f"{number}/1.jpg"} for number in (1, 2)]
    top["annotations"][1]["image_id"] = 2
    assert [image.path.relative_to(tmp_path).as_posix() for image in read(write_json(tmp_path / "a.json", top)).images] == [
        "1.jpg",
        "2/1.jpg",
    ]


def test_photographs_may_lie_in_a_folder_that_is_named(tmp_path: Path):
    path = write_coco(tmp_path / "annotations")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "annotations" / "1.jpg").rename(tmp_path / "elsewhere" / "1.jpg")
    assert read(path, images=tmp_path / "elsewhere").images[0].path == tmp_path / "elsewhere" / "1.jpg"


@pytest.mark.parametrize(
    ("name", "called"),
    [("mine.json", "mine"), ("_annotations.coco.json", "annotations"), ("mine.v2.jsonl", "mine.v2"), (".coco.json", "folder")],
)
def test_a_data_set_is_called_like_its_file(name: str, called: str, tmp_path: Path):
    path = tmp_path / "folder" / name
    path.parent.mkdir()
    path.touch()
    assert (name_of(path), name_of(path.parent)) == (called, "folder")


UNREAD: dict[str, Callable[[Path], Any]] = {
    "YOLO": lambda folder: (folder / "data.yaml").write_text("names: [cup]"),
    "VIA": lambda folder: write_json(folder / "via.json", {"1.jpg123": {"filename": "1.jpg", "regions": [], "file_attributes": {}}}),
    "Pascal VOC": lambda folder: (folder / "1.xml").write_text("<annotation><object/></annotation>"),
    "a video data set": lambda folder: write_json(folder / "meta_expressions.json", {"videos": {"a": {"expressions": {}}}}),
    "Label Studio": lambda folder: write_json(folder / "ls.json", [{"id": 1, "data": {"image": "1.jpg"}, "annotations": []}]),
    "a folder of videos": lambda folder: (folder / "1.mp4").touch(),
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_format_that_nobody_reads_is_named_with_the_line_to_write(name: str, tmp_path: Path):
    UNREAD[name](tmp_path)
    assert reader_of(tmp_path) is None
    assert str(unread_format(tmp_path)).startswith(name)
    assert name in not_recognised(tmp_path).message
    assert '"expression": "the red cup"' in str(not_recognised(tmp_path).hint)


@pytest.mark.parametrize("name", ["data/train-00000-of-00001.parquet", "instances.json"])
def test_a_pointer_of_git_lfs_is_called_so(name: str, tmp_path: Path):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    for path in (tmp_path, file):
        assert f"{file} is a Git LFS pointer" in not_recognised(path).message
    assert f"`git lfs pull` in {file.parent}" in str(not_recognised(tmp_path).hint)


def test_a_folder_of_nothing_known_lists_what_is_read(tmp_path: Path):
    assert unread_format(tmp_path) is None
    assert "It reads JSONL, COCO instances with text, LabelMe" in not_recognised(tmp_path).message
