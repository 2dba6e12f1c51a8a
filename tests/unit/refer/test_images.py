"""Photographs are found flat and nested; a missing one is expected in the first folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmirnet_cli.refer.layout import ImageFolders, is_path, stays_inside


@pytest.mark.parametrize("on_disk", ["1012.jpg", "25/images/1012.jpg"])
@pytest.mark.parametrize("written", ["1012.jpg", "25/images/1012.jpg"])
def test_flat_and_nested_names_are_found_either_way(tmp_path: Path, on_disk: str, written: str) -> None:
    (tmp_path / on_disk).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / on_disk).touch()
    assert ImageFolders([tmp_path]).locate(written) == tmp_path / on_disk


def test_the_first_folder_that_has_the_image_wins(tmp_path: Path) -> None:
    for name in ("a/x.jpg", "b/x.jpg", "b/y.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    folders = ImageFolders([tmp_path / "a", tmp_path / "b"])
    assert folders.locate("x.jpg") == tmp_path / "a" / "x.jpg"
    assert folders.locate("y.jpg") == tmp_path / "b" / "y.jpg"


def test_a_missing_image_is_expected_in_the_first_folder(tmp_path: Path) -> None:
    assert ImageFolders([tmp_path / "a", tmp_path]).locate("25/images/1.jpg") == tmp_path / "a" / "25" / "images" / "1.jpg"


def test_an_image_of_another_folder_does_not_stand_in(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    assert ImageFolders([tmp_path]).locate("val/1.jpg") == tmp_path / "val" / "1.jpg"


def test_names_that_leave_the_folder_are_recognised() -> None:
    assert stays_inside("25/images/1.jpg")
    assert not stays_inside("/etc/passwd")
    assert not stays_inside("images/../../secret.jpg")


def test_names_that_no_file_system_can_hold_are_recognised() -> None:
    assert is_path("a/b.jpg")
    assert not is_path("")
    assert not is_path("ü" * 128 + "/a.jpg")
    assert not is_path("a/" * 1500)
