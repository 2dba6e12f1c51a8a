"""Which paths an annotation file may name."""

from __future__ import annotations

from cmirnet_cli.refer.records import is_path, stays_inside


def test_names_that_leave_the_folder_are_recognised() -> None:
    assert stays_inside("25/images/1.jpg")
    assert not stays_inside("/etc/passwd")
    assert not stays_inside("images/../../secret.jpg")


def test_names_that_no_file_system_can_hold_are_recognised() -> None:
    assert is_path("a/b.jpg")
    assert not is_path("")
    assert not is_path("ü" * 128 + "/a.jpg")
    assert not is_path("a/" * 1500)
