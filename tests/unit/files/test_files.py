"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.errors import CacheError, CmirnetError, UsageError
from cmirnet_cli.files import exchange, new_file, new_folder, replaced_folder, sha256_of, sweep, write_bytes, write_image, write_text
from cmirnet_cli.files.checks import require_room, require_writable


def write(target: Path, *pieces: str) -> None:
    with new_file(target) as path:
        for piece in pieces:
            path.write_text(piece, encoding="utf-8")


def test_a_file_has_its_name_only_when_it_is_finished(tmp_path: Path):
    with new_file(tmp_path / "done") as path:
        path.write_text("all of it")
        assert path.parent == tmp_path
        assert not (tmp_path / "done").exists()
    assert [found.name for found in tmp_path.iterdir()] == ["done"]


def test_a_file_that_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path):
    (tmp_path / "done").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write(tmp_path / "done", "half", "\ud800")
    assert [found.read_text() for found in tmp_path.iterdir()] == ["old"]


def test_sweeping_takes_unfinished_files_only(tmp_path: Path):
    for name in (".cmirnet-17ab.tmp", "images-00000.h5", "notes.tmp"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images-00000.h5", "notes.tmp"]


def test_sha256_of_a_file_is_hashlibs(tmp_path: Path):
    data = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(data)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_a_folder_has_its_name_only_when_all_its_files_are_written(tmp_path: Path):
    with new_folder(tmp_path / "done") as folder:
        (folder / "a").write_text("1")
        (folder / "b").write_text("2")
        assert not (tmp_path / "done").exists()
    assert {path.name: path.read_text() for path in (tmp_path / "done").iterdir()} == {"a": "1", "b": "2"}


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "done") as folder:
        (folder / "a").write_text(str(1 / 0))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_in_use_is_not_replaced(tmp_path: Path):
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "old").touch()
    with pytest.raises(CmirnetError, match=r"cannot write .*done: Directory not empty"), new_folder(tmp_path / "done") as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["done", "old"]


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_replaced_folder_takes_the_place_of_the_old_one_and_leaves_nothing_else(tmp_path: Path):
    for text in ("old", "new"):
        with replaced_folder(tmp_path / "done") as folder:
            (folder / text).write_text(text)
    assert content(tmp_path) == {"done/new": "new"}


def test_the_old_folder_stays_where_the_new_one_does_not_reach_the_disk(tmp_path: Path):
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "old").write_text("old")
    with pytest.raises(CmirnetError, match=r"cannot write .*done: No such file"), replaced_folder(tmp_path / "done") as folder:
        (folder / "new").symlink_to("nowhere")  # cannot be waited for
    assert content(tmp_path) == {"done/old": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["done"]


def test_the_old_folder_comes_back_where_the_new_one_cannot_have_its_name(tmp_path: Path):
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "old").write_text("old")
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "gone", tmp_path / "done", tmp_path / "aside")
    assert content(tmp_path) == {"done/old": "old"}


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A link, in a folder of its own, to a folder that is not there yet."""
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "link").symlink_to("../disk/done")
    return tmp_path / "links" / "link"


def test_where_a_link_stands_the_folder_that_it_points_to_is_replaced(tmp_path: Path, link: Path):
    (tmp_path / "disk").mkdir()
    for text in ("first", "second", "third"):
        with replaced_folder(link) as folder:
            (folder / text).write_text(text)
        assert content(tmp_path) == {f"disk/done/{text}": text}
        assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["disk", "done", "link", "links", "third"]


def test_a_link_into_a_folder_that_is_not_there_is_refused(tmp_path: Path, link: Path):
    with pytest.raises(CacheError, match=r"cannot write .*disk/done: No such file") as caught, replaced_folder(link, CacheError):
        raise AssertionError("it began")
    assert caught.value.hint
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["link", "links"]


def test_a_link_to_itself_is_refused(tmp_path: Path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(CmirnetError, match=r"cannot write .*loop: Not a directory"), replaced_folder(tmp_path / "loop") as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_a_link_that_an_earlier_version_moved_aside_is_no_obstacle(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("kept")
    (tmp_path / ".done.old").symlink_to("elsewhere")
    for text in ("old", "new"):
        with replaced_folder(tmp_path / "done") as folder:
            (folder / text).write_text(text)
    assert content(tmp_path) == {"done/new": "new", "elsewhere/kept": "kept"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "elsewhere"]


WRITER = """
import sys
from pathlib import Path
from cmirnet_cli.files import replaced_folder
with replaced_folder(Path(sys.argv[1])) as folder:
    (folder / "theirs").write_text("theirs")
    print("writing", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def writer(target: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, in the middle of replacing a folder; it ends when it gets a line."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(target)], text=True, **pipes) as process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        yield process


def test_what_a_killed_process_left_of_a_folder_goes_with_the_next_one(tmp_path: Path):
    with writer(tmp_path / "done") as process:
        process.kill()
    (leftover,) = tmp_path.iterdir()
    with replaced_folder(tmp_path / "another"):
        assert leftover.exists()
    with replaced_folder(tmp_path / "done") as folder:
        assert not leftover.exists()
        (folder / "ours").write_text("ours")
    assert content(tmp_path) == {"done/ours": "ours"}


def test_two_processes_that_replace_one_folder_at_once_leave_each_others_work_alone(tmp_path: Path):
    with writer(tmp_path / "done") as process:
        with replaced_folder(tmp_path / "done") as folder:
            (folder / "ours").write_text("ours")
        assert content(tmp_path / "done") == {"ours": "ours"}
        process.communicate("end\n", timeout=60)
    assert process.returncode == 0
    assert content(tmp_path) == {"done/theirs": "theirs"}


def test_where_folders_cannot_be_locked_nothing_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr("fcntl.flock", flock)
    with replaced_folder(tmp_path / "done") as first:
        (first / "first").write_text("first")
        with replaced_folder(tmp_path / "done") as second:
            assert first.exists()
            (second / "second").write_text("second")
    assert content(tmp_path) == {"done/first": "first"}


@pytest.mark.parametrize("fails", ["elsewhere/photo", "done/photo"])
def test_only_what_is_written_is_said_to_be_unwritable(tmp_path: Path, fails: str):
    about_another = fails.startswith("elsewhere")
    with pytest.raises(FileNotFoundError if about_another else CmirnetError) as caught, new_folder(tmp_path / "done"):
        (tmp_path / fails).read_bytes()
    assert str(caught.value).startswith("cannot write") is not about_another


def test_an_error_that_is_not_the_systems_stays_as_it_is(tmp_path: Path):
    with pytest.raises(OSError, match=r"^image file is truncated$"), new_file(tmp_path / "done"):
        raise OSError("image file is truncated")


def test_text_is_written_as_utf_8_into_folders_that_are_made(tmp_path: Path):
    write_text(tmp_path / "new" / "folder" / "page.html", "红色 é")
    assert (tmp_path / "new" / "folder" / "page.html").read_bytes() == "红色 é".encode()


def test_a_mask_survives_as_png(tmp_path: Path):
    mask = np.random.default_rng(0).random((5, 7)) < 0.5
    write_image(tmp_path / "mask.PNG", Image.fromarray(mask).convert("L"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "mask.PNG")), mask * np.uint8(255))


def test_files_get_the_rights_that_any_new_file_gets(tmp_path: Path):
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "ours", "x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_names_as_long_as_a_file_system_allows_can_be_written(tmp_path: Path):
    write_text(tmp_path / ("é" * 127), "x")
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_written_is_a_user_error_that_names_the_path_and_leaves_nothing(tmp_path: Path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(CmirnetError, match=r"cannot write .*taken: .*directory") as caught:
        write_bytes(tmp_path / "taken", b"x")
    assert caught.value.hint is not None
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_folder_that_is_a_file_is_a_user_error(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CmirnetError, match="cannot write"):
        write_text(tmp_path / "file" / "page.html", "x")


@pytest.mark.parametrize("name", ["picture", "picture.txt"])
def test_a_picture_under_a_name_without_a_picture_format_is_a_usage_error(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match=f"cannot write a picture as {name}"):
        write_image(tmp_path / name, Image.new("RGB", (2, 2)))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_or_is_too_full_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CmirnetError, match="cannot write"):
        require_writable(tmp_path / "file" / "out")
    require_writable(tmp_path / "new" / "folder")
    require_room(tmp_path / "new" / "folder", 3)
    with pytest.raises(CacheError, match=r"No space left on device for .*folder: at least .* are needed and .* are free") as caught:
        require_room(tmp_path / "new" / "folder", 1 << 62, CacheError, "buy a disk")
    assert caught.value.hint == "buy a disk"
