"""Annotation files and photographs are found in the layouts that people have, and what is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.refer.archives import find_archives
from cmirnet_cli.refer.layout import ImageFolders, Places, find_layout
from cmirnet_cli.refer.unpickle import read_plain_pickle


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    "images", ["images/mscoco/images/train2014", "images/train2014", "images", "refcoco/images/train2014", "refcoco/images"]
)
def test_photographs_are_found_where_people_have_them(tmp_path: Path, images: str) -> None:
    touch(tmp_path, "refcoco/refs(unc).p", "refcoco/instances.json", f"{images}/a.jpg")
    layout = find_layout("refcoco", "unc", Places(tmp_path))
    assert layout.refs == tmp_path / "refcoco" / "refs(unc).p"
    assert layout.instances == tmp_path / "refcoco" / "instances.json"
    assert layout.image_folders[0] == tmp_path / images


@pytest.mark.parametrize("home", ["refcoco+", "refer/data/refcoco+", "annotations/refcoco+"])
def test_annotations_are_found_where_people_have_them(tmp_path: Path, home: str) -> None:
    touch(tmp_path, f"{home}/refs(unc).p", f"{home}/instances.json", f"{home}/../images/a.jpg")
    assert find_layout("refcoco+", "unc", Places(tmp_path)).refs == tmp_path / home / "refs(unc).p"


@pytest.mark.parametrize("given", ["elsewhere", "elsewhere/cups"])
def test_the_annotations_folder_may_be_the_data_sets_or_the_one_above(tmp_path: Path, given: str) -> None:
    touch(tmp_path, "elsewhere/cups/refs(x).p", "elsewhere/cups/instances.json", "elsewhere/images/val2017/a.jpg")
    layout = find_layout("cups", "x", Places(tmp_path / "data", annotations=tmp_path / given))
    assert layout.refs == tmp_path / "elsewhere" / "cups" / "refs(x).p"
    assert layout.image_folders[0] == tmp_path / "elsewhere" / "images" / "val2017"


def test_the_images_folder_that_is_given_is_the_only_one(tmp_path: Path) -> None:
    touch(tmp_path, "refcoco/refs(unc).p", "refcoco/instances.json", "images/train2014/a.jpg", "photos/a.jpg")
    assert find_layout("refcoco", "unc", Places(tmp_path, images=tmp_path / "photos")).image_folders == (tmp_path / "photos",)


def test_grefcoco_and_json_twins_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "grefcoco/grefs(unc).json", "grefcoco/instances.json", "images/a.jpg", "own/refs(x).json", "own/instances.json")
    assert find_layout("grefcoco", "unc", Places(tmp_path)).refs.name == "grefs(unc).json"
    assert find_layout("own", "x", Places(tmp_path)).refs.name == "refs(x).json"


def test_a_json_twin_is_read_where_the_refused_pickle_was_taken_away(tmp_path: Path) -> None:
    touch(tmp_path, "own/refs(x).json", "own/instances.json", "images/a.jpg")
    (tmp_path / "own/refs(x).p").write_bytes(b"cos\nsystem\n.")
    with pytest.raises(AnnotationError) as caught:
        read_plain_pickle(find_layout("own", "x", Places(tmp_path)).refs)
    assert str(caught.value.hint).endswith("as JSON next to it, as refs(<split_by>).json, and remove the .p file")
    (tmp_path / "own/refs(x).p").unlink()
    assert find_layout("own", "x", Places(tmp_path)).refs.name == "refs(x).json"


def test_refclef_looks_for_its_own_images(tmp_path: Path) -> None:
    touch(tmp_path, "refclef/refs(unc).p", "refclef/instances.json", "images/saiapr_tc-12/1.jpg", "images/train2014/a.jpg")
    assert find_layout("refclef", "unc", Places(tmp_path)).image_folders == (tmp_path / "images" / "saiapr_tc-12", tmp_path / "images")


def test_everything_that_is_missing_is_named_with_every_place(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError) as caught:
        find_layout("refcocog", "umd", Places(tmp_path))
    message = caught.value.message
    for name in ("refs(umd).p", "refs(umd).json", "instances.json", "photographs"):
        assert name in message
    for place in (
        "refcocog",
        "refer/data/refcocog",
        "annotations/refcocog",
        "images/mscoco/images/train2014",
        "images/train2014",
        "images",
    ):
        assert str(tmp_path / place) in message
    assert "--annotations" in str(caught.value.hint)
    assert "--images" in str(caught.value.hint)


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "refcocog/refs(umd).p", "images/train2014/a.jpg")
    with pytest.raises(AnnotationError) as caught:
        find_layout("refcocog", "umd", Places(tmp_path))
    assert "instances.json (looked in " in caught.value.message
    assert "refs(umd)" not in caught.value.message
    assert "photographs" not in caught.value.message


def test_other_split_by_names_that_are_there_are_mentioned(tmp_path: Path) -> None:
    touch(tmp_path, "refcocog/refs(google).p", "refcocog/instances.json", "images/a.jpg")
    with pytest.raises(AnnotationError, match=r"there is .*refs\(google\)\.p") as caught:
        find_layout("refcocog", "umd", Places(tmp_path))
    assert str(caught.value.hint).startswith("use --split-by google, or put the files")


@pytest.mark.parametrize(
    ("folder", "dataset", "split_by"),
    [
        ("mini_refcocog_google_val", "refcocog", "google"),
        ("coco128_refer", "refcoco128", "template"),
        ("refcocos_val2017", "refcocos", "refcocos"),
    ],
)
def test_the_real_data_sets_are_found(shared_data: Path, folder: str, dataset: str, split_by: str) -> None:
    by_root = find_layout(dataset, split_by, Places(shared_data / folder))
    by_annotations = find_layout(dataset, split_by, Places(Path("nowhere"), annotations=shared_data / folder))
    assert by_root == by_annotations
    assert any(by_root.image_folders[0].glob("*.jpg"))


@pytest.mark.parametrize("on_disk", ["1012.jpg", "25/images/1012.jpg"])
@pytest.mark.parametrize("written", ["1012.jpg", "25/images/1012.jpg"])
def test_flat_and_nested_names_are_found_either_way(tmp_path: Path, on_disk: str, written: str) -> None:
    touch(tmp_path, on_disk)
    assert ImageFolders([tmp_path]).find(written) == tmp_path / on_disk


def test_the_first_folder_that_has_the_image_wins(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.jpg", "b/x.jpg", "b/y.jpg")
    folders = ImageFolders([tmp_path / "a", tmp_path / "b"])
    assert folders.find("x.jpg") == tmp_path / "a" / "x.jpg"
    assert folders.find("y.jpg") == tmp_path / "b" / "y.jpg"


def test_a_missing_image_is_expected_in_the_first_folder(tmp_path: Path) -> None:
    assert ImageFolders([tmp_path / "a", tmp_path]).find("25/images/1.jpg") == tmp_path / "a" / "25" / "images" / "1.jpg"


def test_an_image_of_another_folder_does_not_stand_in(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg")
    assert ImageFolders([tmp_path]).find("val/1.jpg") == tmp_path / "val" / "1.jpg"


@pytest.mark.parametrize("place", [".", "..", "/"])
def test_archives_are_looked_for_beside_a_folder_that_has_no_name_of_its_own(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inside" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "inside" / "here")
    touch(tmp_path, "inside/refcoco.zip")
    files = [archive.file.resolve() for archive in find_archives("refcoco", "unc", Places(annotations=Path(place), images=Path(place)))]
    assert files == ([] if place == "/" else [tmp_path.resolve() / "inside" / "refcoco.zip"])
