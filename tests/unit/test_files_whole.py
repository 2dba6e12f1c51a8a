"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.errors import CmirnetError, UsageError
from cmirnet_cli.files import require_disk_room, require_writable, write_bytes, write_image, write_text


def test_text_is_written_as_utf_8_into_folders_that_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "folder" / "page.html", "红色 é")

    assert (tmp_path / "new" / "folder" / "page.html").read_bytes() == "红色 é".encode()


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "new")

    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_mask_survives_as_png(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((5, 7)) < 0.5

    write_image(tmp_path / "mask.PNG", Image.fromarray(mask).convert("L"))

    assert np.array_equal(np.asarray(Image.open(tmp_path / "mask.PNG")), mask * np.uint8(255))


def test_files_get_the_rights_that_any_new_file_gets(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "ours", "x")

    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_names_as_long_as_a_file_system_allows_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("é" * 127), "x")

    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_written_is_a_user_error_that_names_the_path_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()

    with pytest.raises(CmirnetError, match=r"cannot write .*taken: .*directory") as caught:
        write_bytes(tmp_path / "taken", b"x")

    assert caught.value.hint is not None
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_folder_that_is_a_file_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(CmirnetError, match="cannot write"):
        write_text(tmp_path / "file" / "page.html", "x")


@pytest.mark.parametrize("name", ["picture", "picture.txt"])
def test_a_picture_under_a_name_without_a_picture_format_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"cannot write a picture as {name}"):
        write_image(tmp_path / name, Image.new("RGB", (2, 2)))

    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_or_is_too_full_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CmirnetError, match="cannot write"):
        require_writable(tmp_path / "file" / "out")
    require_writable(tmp_path / "new" / "folder")
    require_disk_room(tmp_path / "new" / "folder", 3)
    with pytest.raises(CmirnetError, match=r"at least .* are needed"):
        require_disk_room(tmp_path / "new" / "folder", 1 << 62)
