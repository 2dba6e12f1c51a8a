"""Refs and instances are joined as REFER means them; whatever contradicts is named."""

from __future__ import annotations

import gc
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.refer.layout import Layout, Places, find_layout
from cmirnet_cli.refer.reader import read_dataset
from cmirnet_cli.refer.referent import Sentence

LayoutOf = Callable[[Any, Any], Layout]


def test_a_referent_is_joined_with_its_image_outline_and_category(layout_of: LayoutOf, ref: Any, instances: Any) -> None:
    layout = layout_of([ref], instances)
    dataset = read_dataset(layout)
    (referent,) = dataset.referents
    assert (dataset.name, dataset.split_by, dataset.splits) == ("cups", "hand", ("train",))
    assert dataset.annotation_files == (layout.refs, layout.instances)
    assert (referent.ref_id, referent.split, referent.category) == (7, "train", "cup")
    assert referent.image.path == layout.image_folders[0] / "one.jpg"
    assert (referent.image.image_id, referent.image.height, referent.image.width) == (1, 20, 30)
    assert referent.objects == ([[2, 2, 8, 2, 8, 9, 2, 9]],)
    assert referent.sentences == (Sentence(11, "The RED cup!"), Sentence(12, "left cup"))


def test_the_cleaned_sentence_is_taken_only_where_there_is_no_raw_one(layout_of: LayoutOf, ref: Any, instances: Any) -> None:
    del ref["sentences"][0]["raw"]
    texts = [sentence.text for sentence in read_dataset(layout_of([ref], instances)).referents[0].sentences]
    assert texts == ["the red cup", "left cup"]


@pytest.mark.parametrize("fields", [{"ann_id": -1}, {"ann_id": [-1], "no_target": True}, {"ann_id": [], "no_target": True}])
def test_a_sentence_may_refer_to_nothing(layout_of: LayoutOf, ref: Any, instances: Any, fields: Any) -> None:
    (referent,) = read_dataset(layout_of([ref | fields | {"category_id": -1}], instances)).referents
    assert referent.objects == ()
    assert referent.category == ""


def test_a_sentence_may_refer_to_several_objects(layout_of: LayoutOf, ref: Any, instances: Any) -> None:
    fields = {"ann_id": [70, 71], "category_id": [3, 4], "no_target": False}
    (referent,) = read_dataset(layout_of([ref | fields], instances)).referents
    assert referent.objects == ([[2, 2, 8, 2, 8, 9, 2, 9]], [[20, 2, 28, 2, 28, 9, 20, 9]])
    assert referent.category == "cup, dog"


def test_ids_may_be_text_as_in_refclef(layout_of: LayoutOf, ref: Any, instances: Any) -> None:
    instances["annotations"][0]["id"] = "25_1"
    assert len(read_dataset(layout_of([ref | {"ann_id": "25_1"}], instances)).referents[0].objects) == 1


def test_a_category_without_a_name_is_called_by_its_id(layout_of: LayoutOf, ref: Any, instances: Any) -> None:
    assert read_dataset(layout_of([ref | {"category_id": 99}], instances)).referents[0].category == "99"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ann_id": 999}, "'ann_id'.*no annotation 999"),
        ({"ann_id": [70, -1]}, "'ann_id'.*contradict"),
        ({"ann_id": 70, "no_target": True}, "'no_target'.*contradict"),
        ({"ann_id": []}, "'ann_id' is empty"),
        ({"ann_id": 70.0}, "'ann_id' is 70.0"),
        ({"ann_id": [[70]]}, "'ann_id' is"),
        ({"no_target": "yes"}, "'no_target' is 'yes'"),
        ({"image_id": 2}, "'image_id'.*no image 2"),
        ({"image_id": None}, "'image_id' is None"),
        ({"split": 3}, "'split' is 3"),
        ({"split": ""}, "'split' is ''; it must be a name of 1 to 100 printable"),
        ({"split": "train\n"}, "'split' is .* printable"),
        ({"ann_id": "\ud800"}, "'ann_id' is .* valid Unicode"),
        ({"category_id": ["a\0"]}, "'category_id' is .* without NUL"),
        ({"category_id": [1 << 63]}, "'category_id' is .* 64 bits"),
        ({"sentences": []}, "'sentences' is empty"),
        ({"sentences": {}}, "'sentences' is {}"),
        ({"sentences": ["text"]}, r"sentences\[0\] is not a dict"),
        ({"sentences": [{"raw": "text"}]}, "'sent_id' is missing"),
        ({"sentences": [{"sent_id": 1}]}, "'sent' is missing"),
        ({"sentences": [{"sent_id": True, "raw": "text"}]}, "'sent_id' is True"),
        ({"sentences": [{"sent_id": 1 << 63, "raw": "text"}]}, "'sent_id' is"),
        ({"sentences": [{"sent_id": 1, "raw": ["text"]}]}, "'raw' is"),
        ({"sentences": [{"sent_id": 1, "raw": "a\0b"}]}, "'raw' is .* without NUL"),
        ({"sentences": [{"sent_id": 1, "raw": "a\ud800"}]}, "'raw' is .* valid Unicode"),
        ({"sentences": [{"sent_id": 1, "raw": "x" * 10_001}]}, "at most 10000 characters"),
    ],
)
def test_a_contradiction_names_file_ref_and_field(layout_of: LayoutOf, ref: Any, instances: Any, fields: Any, said: str) -> None:
    with pytest.raises(AnnotationError, match=said) as caught:
        read_dataset(layout_of([ref | fields], instances))
    assert "refs(hand).p: ref 7" in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("field", ["ann_id", "image_id", "category_id", "split", "sentences"])
def test_a_missing_field_is_named(layout_of: LayoutOf, ref: Any, instances: Any, field: str) -> None:
    del ref[field]
    with pytest.raises(AnnotationError, match=rf"refs\(hand\).p: ref 7: field '{field}' is missing"):
        read_dataset(layout_of([ref], instances))


def test_a_ref_without_id_is_named_by_its_place(layout_of: LayoutOf, ref: Any, instances: Any) -> None:
    with pytest.raises(AnnotationError, match=r"refs\[1\]: field 'ref_id' is '8'"):
        read_dataset(layout_of([ref, ref | {"ref_id": "8"}], instances))


def test_a_ref_id_may_occur_once(layout_of: LayoutOf, ref: Any, instances: Any) -> None:
    with pytest.raises(AnnotationError, match="ref 7: field 'ref_id' occurs a second time"):
        read_dataset(layout_of([ref, ref], instances))


@pytest.mark.parametrize(
    ("table", "fields", "said"),
    [
        ("images", {"height": 0}, "image 1: .*30×0"),
        ("images", {"width": 1 << 40}, "image 1: .*pixels"),
        ("images", {"width": "30"}, "image 1: field 'width' is '30'"),
        ("images", {"file_name": "/etc/passwd"}, "image 1: field 'file_name'"),
        ("images", {"file_name": "../../secret.jpg"}, "image 1: field 'file_name'"),
        ("images", {"file_name": "x" * 300}, "image 1: field 'file_name'"),
        ("images", {"id": None}, r"images\[0\]: field 'id' is None"),
        ("annotations", {"image_id": 5}, "annotation 70 lies in another image"),
        ("annotations", {"segmentation": "x"}, "annotation 70: field 'segmentation'"),
        ("annotations", {"id": 71}, r"annotations\[1\]: field 'id' is 71"),
        ("categories", {"name": 3}, "category 3: field 'name'"),
    ],
)
def test_a_wrong_instance_names_file_record_and_field(
    layout_of: LayoutOf, ref: Any, instances: Any, table: str, fields: Any, said: str
) -> None:
    instances[table][0] |= fields
    with pytest.raises(AnnotationError, match=said):
        read_dataset(layout_of([ref], instances))


@pytest.mark.parametrize("table", ["images", "annotations", "categories"])
def test_a_missing_table_is_named(layout_of: LayoutOf, ref: Any, instances: Any, table: str) -> None:
    del instances[table]
    with pytest.raises(AnnotationError, match=f"instances.json: the top level: field '{table}' is missing"):
        read_dataset(layout_of([ref], instances))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ufeff[", "\x00", '{"images": 9' + "9" * 5000 + "}", "[]"])
def test_instances_that_are_no_json_are_named(layout_of: LayoutOf, ref: Any, text: str) -> None:
    layout = layout_of([ref], {})
    layout.instances.write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"instances\.json"):
        read_dataset(layout)


def test_refs_that_are_no_list_are_named(layout_of: LayoutOf, instances: Any) -> None:
    with pytest.raises(AnnotationError, match=r"refs\(hand\).p holds no list of refs"):
        read_dataset(layout_of({"refs": []}, instances))


def test_one_list_in_many_places_cannot_exhaust_memory(layout_of: LayoutOf, ref: Any, instances: Any) -> None:
    sentences = [{"sent_id": 1, "raw": "x"}] * 20_000
    refs = [ref | {"ref_id": number, "sentences": sentences} for number in range(20_000)]
    with pytest.raises(AnnotationError, match="repeats the same lists"):
        read_dataset(layout_of(refs, instances))


def test_the_collector_is_left_as_it_was(layout_of: LayoutOf, ref: Any, instances: Any) -> None:
    layout = layout_of([ref | {"ann_id": 999}], instances)
    with pytest.raises(AnnotationError):
        read_dataset(layout)
    assert gc.isenabled()


def read_real(folder: Path, dataset: str, split_by: str) -> Any:
    return read_dataset(find_layout(dataset, split_by, Places(folder)))


def test_real_refcocog_is_read(shared_data: Path) -> None:
    dataset = read_real(shared_data / "mini_refcocog_google_val", "refcocog", "google")
    assert [referent.category for referent in dataset.referents] == ["giraffe", "person", "person"]
    assert dataset.referents[0].sentences == (Sentence(0, "a tall brown and tan giraffe eating from a tree"),)
    assert [referent.image.path.name for referent in dataset.referents] == [f"COCO_train2014_000000000{n:03}.jpg" for n in (25, 529, 625)]
    assert all(image.path.is_file() for image in dataset.images)
    assert dataset.splits == ("val",)


def test_the_text_mode_pickle_and_the_json_twin_read_as_the_binary_one(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "mini_refcocog_google_val" / "refcocog"
    text_mode = tmp_path / "text" / "refs(google).p"
    twin = tmp_path / "json" / "refs(google).json"
    for copy, source in ((text_mode, folder / "variants" / "refs(google).py2-protocol0.p"), (twin, folder / "refs(google).json")):
        copy.parent.mkdir()
        copy.write_bytes(source.read_bytes())
        (copy.parent / "instances.json").write_bytes((folder / "instances.json").read_bytes())
    images = folder.parent / "images"
    binary, *others = (
        read_dataset(find_layout("refcocog", "google", Places(tmp_path, annotations=home, images=images))).referents
        for home in (folder, text_mode.parent, twin.parent)
    )
    assert others == [binary, binary]


def test_real_coco_referents_are_all_read(shared_data: Path) -> None:
    dataset = read_real(shared_data / "coco128_refer", "refcoco128", "template")
    assert len(dataset.referents) == 173
    assert len(dataset.images) == 95
    assert sum(len(referent.sentences) for referent in dataset.referents) == 344
    assert set(dataset.splits) == {"train", "val"}
    assert all(image.path.is_file() for image in dataset.images)


def test_real_sentences_without_target_have_no_objects(shared_data: Path) -> None:
    folder = shared_data / "refcocos_val2017"
    refs = json.loads((folder / "refcocos" / "refs(refcocos).json").read_text(encoding="utf-8"))
    pickled = pickle.loads((folder / "refcocos" / "refs(refcocos).p").read_bytes())
    dataset = read_dataset(
        Layout("refcocos", "refcocos", folder / "refcocos" / "refs(refcocos).json", folder / "refcocos" / "instances.json", (folder,))
    )
    assert [not referent.objects for referent in dataset.referents] == [ref["no_target"] for ref in refs]
    assert len(read_real(folder, "refcocos", "refcocos").referents) == len(pickled) == 11
