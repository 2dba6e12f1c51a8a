"""Photographs are found in folders and patterns, each once; what is left out is counted."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from cmirnet_cli.engine.prediction.photo_files import FoundPhotos, find_photos, folders_once, left_out_notice
from cmirnet_cli.errors import DataError
from cmirnet_cli.images import formats


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 16), "red").save(path)
    return path


def names(found: FoundPhotos) -> list[str]:
    return [photo.name.as_posix() for photo in found.photos]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "kitchen/cup.webp", "kitchen/shelf/c.tiff"):
        save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no photo")
    return tmp_path / "in"


def test_a_folder_gives_its_images_in_order_and_those_below_on_request(tree: Path):
    assert names(find_photos([str(tree)])) == ["a.JPG", "b.png"]
    assert names(find_photos([str(tree)], recursive=True)) == ["a.JPG", "b.png", "kitchen/cup.webp", "kitchen/shelf/c.tiff"]


def test_names_mirror_the_tree_below_the_fixed_part_of_a_pattern(tree: Path):
    assert names(find_photos([f"{tree}/*/*.webp"])) == ["kitchen/cup.webp"]
    assert names(find_photos([f"{tree}/**/*.tiff"])) == ["kitchen/shelf/c.tiff"]
    assert names(find_photos([f"{tree}/kitchen/c*.webp"])) == ["cup.webp"]


def test_the_folder_of_the_results_is_not_searched(tree: Path):
    save(tree / "predictions" / "masks" / "a.png")
    assert "predictions/masks/a.png" in names(find_photos([str(tree)], recursive=True))
    assert "predictions/masks/a.png" not in names(find_photos([str(tree)], recursive=True, exclude=[tree / "predictions"]))
    assert names(find_photos([f"{tree}/**/*.png"], exclude=[tree / "predictions"])) == ["b.png"]
    assert names(find_photos([f"{tree}/*.png"], exclude=[tree])) == ["b.png"]
    assert names(find_photos([str(tree)], exclude=[tree])) == ["a.JPG", "b.png"], "results may go beside the photographs"
    masks = [tree, tree / "predictions/masks"]
    assert "predictions/masks/a.png" not in names(find_photos([str(tree)], recursive=True, exclude=masks))
    with pytest.raises(DataError, match="no file matches"):
        find_photos([f"{tree}/predictions*/**/*.png"], exclude=[tree / "predictions"])


def test_inputs_that_name_nothing_are_errors(tree: Path):
    with pytest.raises(DataError, match="does not exist"):
        find_photos([str(tree / "missing.jpg")])
    with pytest.raises(DataError, match="holds no images"):
        find_photos([str(tree.parent)])
    with pytest.raises(DataError, match=r"no file matches .*\*\.bmp"):
        find_photos([str(tree / "*.bmp")])


def test_a_folder_without_images_is_told_a_pattern_that_every_command_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path / "photos" / "kitchen" / "cup.jpg")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="photos holds no images") as caught:
        find_photos(["photos"])
    hint = str(caught.value.hint)
    assert "--" not in hint
    assert names(find_photos([hint.split("'")[1]])) == ["kitchen/cup.jpg"]


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder with links: to a folder beside it, to itself, to what holds it, from one folder to another, and to each other."""
    top = tmp_path / "top"
    for name in ("top/a.jpg", "top/real/b.jpg", "top/real/deep/c.jpg", "beside/r.jpg", "beside/below/s.jpg"):
        save(tmp_path / name)
    (top / "link").symlink_to("../beside")
    (top / "loop").symlink_to(".")
    (top / "up").symlink_to("..")
    (top / "an_alias").symlink_to("real")
    (tmp_path / "beside" / "back").symlink_to(top)
    return top


def test_a_large_folder_is_in_memory_as_names(tmp_path: Path):
    count = 3000
    for number in range(count):
        (tmp_path / f"{number:012}.jpg").touch()
    tracemalloc.start()
    [(_, files)] = folders_once(tmp_path)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / count < 150, "a name and its place in a list"
    assert [file.name for file in files] == [f"{number:012}.jpg" for number in range(count)]


WHOLE = ["a.jpg", "real/b.jpg", "real/deep/c.jpg", "link/r.jpg", "link/below/s.jpg"]


def test_linked_folders_are_searched_once_and_loops_end(linked: Path):
    assert names(find_photos([str(linked)], recursive=True)) == WHOLE
    assert names(find_photos([str(linked)])) == ["a.jpg"]
    assert names(find_photos([str(linked / "link")], recursive=True))[:2] == ["r.jpg", "below/s.jpg"]


@pytest.mark.parametrize("pattern", ["**/*.jpg", "**", "**/**/*.jpg", "../top/**/*.jpg"])
def test_a_pattern_gives_each_file_once_through_loops_and_links(linked: Path, monkeypatch: pytest.MonkeyPatch, pattern: str):
    monkeypatch.chdir(linked)
    found = find_photos([pattern])
    assert sorted(os.path.realpath(photo.path) for photo in found.photos) == sorted(os.path.realpath(linked / name) for name in WHOLE)


def test_of_links_to_one_file_the_file_itself_is_taken_and_the_rest_is_counted(tmp_path: Path):
    save(tmp_path / "m.jpg")
    for name in ("a.jpg", "z.jpg"):
        (tmp_path / name).symlink_to("m.jpg")
    for given in (str(tmp_path), f"{tmp_path}/*.jpg"):
        found = find_photos([given])
        assert (names(found), found.left_out) == (["m.jpg"], {"doubly linked": 2})


def test_links_into_a_store_of_files_are_photos_like_others(tmp_path: Path):
    for name, blob in (("cup.jpg", "0a"), ("dog.jpg", "1b")):
        save(tmp_path / "blobs" / f"{blob}.jpg")
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / name).symlink_to(f"../blobs/{blob}.jpg")
    assert names(find_photos([str(tmp_path / "photos")])) == ["cup.jpg", "dog.jpg"]


def test_a_folder_that_cannot_be_entered_twice_is_no_error_but_an_unreadable_one_is(tmp_path: Path):
    if os.geteuid() == 0:
        pytest.skip("root reads every folder")
    save(tmp_path / "locked" / "a.jpg").parent.chmod(0)
    with pytest.raises(DataError, match="locked cannot be read"):
        find_photos([str(tmp_path)], recursive=True)


@pytest.mark.parametrize("name", ["._a.jpg", "._IMG_1.HEIC", "__MACOSX/b.jpg", "__MACOSX/._b.jpg", "in/__MACOSX/deep/c.png"])
def test_side_files_of_macos_are_no_photos(tmp_path: Path, name: str):
    save(tmp_path / "a.jpg")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    found = find_photos([str(tmp_path)], recursive=True)
    assert names(found) == ["a.jpg"]
    assert found.left_out == ({} if "__MACOSX" in name else {"macOS side": 1})


def test_what_cannot_be_read_here_is_counted_by_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "_registers_heic", lambda: False)
    save(tmp_path / "a.jpg")
    for name in ("IMG_1.HEIC", "b.heif", "c.jxl", "d.NEF", "e.dng", "f.cr3", "notes.txt", "data.json"):
        (tmp_path / name).write_bytes(b"")
    found = find_photos([str(tmp_path)])
    assert names(found) == ["a.jpg"]
    assert found.left_out == {"HEIC": 2, "JPEG XL": 1, "camera raw": 3}
    assert found.notice.startswith("2 HEIC, 1 JPEG XL and 3 camera raw files left out (pip install 'cmirnet[heic]' reads HEIC; ")


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ({"HEIC": 1, "AVIF": 1}, "1 HEIC and 1 AVIF file left out (pip install 'cmirnet[heic]' reads HEIC; pip install"),
        ({"AVIF": 1200}, "1,200 AVIF files left out ("),
        ({"macOS side": 1}, "1 macOS side file left out"),
        ({}, ""),
    ],
)
def test_what_was_left_out_is_said_in_one_line(left_out: dict[str, int], said: str):
    assert left_out_notice(left_out).startswith(said)
    assert "\n" not in left_out_notice(left_out)


def test_a_folder_of_nothing_but_unreadable_kinds_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "_registers_heic", lambda: False)
    for name in ("1.heic", "2.HEIC"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"holds no images .*; 2 HEIC files left out \(pip install 'cmirnet\[heic\]'"):
        find_photos([str(tmp_path)])


@pytest.mark.parametrize("suffix", ["avif", "jp2", "j2k", "jfif", "ppm", "heic", "HIF"])
def test_less_usual_kinds_are_taken_where_they_can_be_read(tmp_path: Path, suffix: str):
    path = tmp_path / f"a.{suffix}"
    if not formats.is_read(formats.kind_of(path) or ""):
        pytest.skip(f"this machine does not read {suffix}")
    path.write_bytes(b"")
    assert names(find_photos([str(tmp_path)])) == [path.name]
