"""Places for results: files there appear whole or not at all, on this machine and in storage."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from cmirnet_cli.errors import UsageError
from cmirnet_cli.storage.place import Place


@pytest.fixture(params=["local", "memory", "file-like"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A folder, a bucket, and storage that shows files while they are written."""
    if request.param == "local":
        return Place(str(tmp_path / "out"))
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
        return Place("memory://bucket/out")
    fsspec.register_implementation("folder", fsspec.get_filesystem_class("dir"), clobber=True)
    return Place(f"local://{tmp_path}/out")


def test_a_file_is_written_read_listed_and_removed(place: Place):
    assert place.read("a.json") is None
    assert list(place.names()) == []
    place.write("a.json", b"{}")
    place.write("masks/b/c.png", b"png", wait=False)
    assert (place.read("a.json"), place.read("masks/b/c.png"), list(place.names())) == (b"{}", b"png", ["a.json"])
    place.write("a.json", b"[]")
    assert place.read("a.json") == b"[]"
    place.write("empty.json", b"")
    assert place.read("empty.json") == b""
    place.remove("empty.json")
    place.remove("a.json")
    place.remove("a.json")
    assert list(place.names()) == []


@pytest.mark.parametrize("written", ["{tmp}/a[1]*", "memory://bucket/a[1]*"])
def test_a_folder_is_listed_whatever_characters_its_name_has(tmp_path: Path, written: str):
    fsspec.filesystem("memory").store.clear()
    place = Place(written.format(tmp=tmp_path))
    for name in ("a.json", "masks/b.png", "masks/c/d.png"):
        place.write(name, b"")
    Place(written.format(tmp=tmp_path).replace("[1]*", "1")).write("other.json", b"")
    assert (list(place.names()), sorted(place.below("masks"))) == (["a.json"], ["masks/b.png", "masks/c/d.png"])
    assert list(place.below("nothing")) == []


def test_a_file_that_is_not_finished_is_never_seen(place: Place):
    def half() -> None:
        with place.new_file("rows.parquet") as path:
            path.write_bytes(b"half")
            assert list(place.names()) in ([], [path.name])
            assert place.read("rows.parquet") is None
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert list(place.names()) == []
    with place.new_file("rows.parquet") as path:
        path.write_bytes(b"whole")
    assert place.read("rows.parquet") == b"whole"
    assert list(place.names()) == ["rows.parquet"]


@pytest.mark.parametrize(
    ("written", "words"), [("https://a.org/x?sig=SECRET", "nothing can be written to https://a.org/x$"), ("memory://", "names no bucket")]
)
def test_a_place_that_cannot_be_is_refused(written: str, words: str):
    with pytest.raises(UsageError, match=words):
        Place.named(written)


def test_a_file_uri_is_the_folder_on_this_machine(tmp_path: Path):
    assert Place.named(f"file://{tmp_path}/an%20out").folder == tmp_path / "an out"
