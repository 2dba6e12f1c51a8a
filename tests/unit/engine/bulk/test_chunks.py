"""Chunks of a request: in order, as listings come, under names of which no two are the same."""

from __future__ import annotations

import pickle
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.spec import AbstractFileSystem

from cmirnet_cli.engine.bulk.chunk import BulkPhoto, Chunk, Container
from cmirnet_cli.engine.bulk.chunks import BulkRequest, chunks
from cmirnet_cli.errors import DataError, StorageError, UsageError
from tests.unit.engine.bulk.conftest import picture, write_tar

CUP = ("cup",)


def names(*inputs: str, **options: object) -> list[list[str]]:
    """The names in each chunk."""
    made = chunks(BulkRequest(inputs, CUP, **{"chunk_size": 2, **options}))
    return [[photo.name for photo in each.photos] or [each.container.name] for each in made]


class Endless(AbstractFileSystem):
    """Ten million images in one folder, or in ten thousand, listed as they are taken."""

    protocol = "endless"
    cachable = False
    taken = 0

    def info(self, path, **options):
        return {"name": path, "type": "directory", "size": 0}

    def ls(self, path, detail=True, **options):
        path = path.removeprefix("endless://")
        if path == "deep":
            return [{"name": f"deep/{number:05}", "type": "directory", "size": 0} for number in range(10_000)]
        return self._entries(path, 10_000_000 if path == "flat" else 1000)

    def _entries(self, path, count):
        for number in range(count):
            type(self).taken += 1
            yield {"name": f"{path}/{number:08}.jpg", "type": "file", "size": 1}


@pytest.mark.parametrize(("folder", "first"), [("flat", "00000000.jpg"), ("deep", "00000/00000000.jpg")])
def test_the_first_chunk_of_ten_million_images_needs_no_more_of_the_listing_than_it_holds(folder: str, first: str):
    fsspec.register_implementation("endless", Endless, clobber=True)
    Endless.taken = 0
    chunk = next(chunks(BulkRequest([f"endless://{folder}"], CUP, recursive=True, chunk_size=100)))
    assert (len(chunk.photos), chunk.photos[0].name) == (100, first)
    assert Endless.taken == 100


def test_a_bucket_and_a_folder_give_the_same_chunks(memory, tmp_path: Path):
    for name in ("b.png", "a.jpg", "c/d.png", "c/e/f.png", "note.txt", "._a.jpg", "g.jxl"):
        memory.pipe_file(f"/bucket/photos/{name}", b"")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for place in ("memory://bucket/photos", "memory://bucket/photos/", str(tmp_path)):
        left_out: Counter[str] = Counter()
        assert names(place) == [["a.jpg", "b.png"]]
        assert names(place, recursive=True) == [["a.jpg", "b.png"], ["c/d.png", "c/e/f.png"]]
        list(chunks(BulkRequest([place], CUP), left_out))
        assert left_out == {"macOS side": 1, "JPEG XL": 1}


def test_a_link_to_another_image_of_the_folder_is_left_out_and_one_to_nowhere_stays(tmp_path: Path):
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").symlink_to("a.png")
    (tmp_path / "c.png").symlink_to("nowhere.png")
    left_out: Counter[str] = Counter()
    [chunk] = chunks(BulkRequest([str(tmp_path)], CUP), left_out)
    assert ([photo.name for photo in chunk.photos], left_out) == (["a.png", "c.png"], {"doubly linked": 1})


@pytest.mark.parametrize("target", ["blobs/0123", "out/0123.png", "__MACOSX/0123.png", "blobs/._0123.png"])
def test_a_link_to_what_is_not_taken_itself_is_an_image_like_others(tmp_path: Path, target: str):
    (tmp_path / target).parent.mkdir()
    (tmp_path / target).touch()
    (tmp_path / "snapshots" / "r").mkdir(parents=True)
    (tmp_path / "snapshots" / "r" / "a.jpg").symlink_to(f"../../{target}")
    (tmp_path / "note.txt").symlink_to(target)
    left_out: Counter[str] = Counter()
    [chunk] = chunks(BulkRequest([str(tmp_path)], CUP, recursive=True, exclude=[str(tmp_path / "out")]), left_out)
    assert [photo.name for photo in chunk.photos] == ["snapshots/r/a.jpg"]
    assert "doubly linked" not in left_out


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("memory://bucket/photos/*.png", ["b.png"]),
        ("memory://bucket/photos/**/*.png", ["b.png", "c/d.png"]),
        ("memory://bucket/*/c/[a-d].p?g", ["photos/c/d.png"]),
    ],
)
def test_patterns_match_in_buckets(memory, pattern: str, found: list[str]):
    for name in ("photos/b.png", "photos/a.jpg", "photos/c/d.png", "other/x.png"):
        memory.pipe_file(f"/bucket/{name}", b"")
    assert names(pattern, chunk_size=9) == [found]


def test_files_of_several_folders_keep_apart(memory, tmp_path: Path):
    for name in ("a/photos/1.png", "b/photos/1.png"):
        memory.pipe_file(f"/bucket/{name}", b"")
    (tmp_path / "1.png").touch()
    inputs = ["memory://bucket/a/photos", "memory://bucket/b/photos", "memory://bucket/a/photos", str(tmp_path / "1.png")]
    [found] = names(*inputs, chunk_size=9)
    assert len(set(found)) == len(found) == 3
    assert [name.partition("/")[0].rpartition("-")[0] for name in found[:2]] == ["photos", "photos"]
    assert found[2] == f"{tmp_path.name}/1.png"


def test_images_of_a_pattern_are_filed_as_seen_from_its_part_without_wildcards(tmp_path: Path):
    for name in ("pa/x/1.jpg", "pa/y/1.jpg", "pb/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names(f"{tmp_path}/pa/*/1.jpg", chunk_size=9) == [["x/1.jpg", "y/1.jpg"]]
    assert names(f"{tmp_path}/pa/*/1.jpg", str(tmp_path / "pb"), chunk_size=9) == [["pa/x/1.jpg", "pa/y/1.jpg", "pb/1.jpg"]]


def test_lists_keep_whole_paths_and_pairs_their_expressions():
    listed = ["https://user:SECRET@a.org/x/1.jpg?sig=SECRET", "s3://bucket/y/1.jpg", "/data/1.jpg", "z/1.jpg"]
    pair = BulkPhoto("s3://bucket/2.jpg", "bucket/2.jpg", ("left person",))
    [chunk] = chunks(BulkRequest([], CUP, listed, [pair]))
    assert [photo.name for photo in chunk.photos] == ["a.org/x/1.jpg", "bucket/y/1.jpg", "data/1.jpg", "z/1.jpg", "bucket/2.jpg"]
    assert chunk.photos[0].uri == listed[0]
    assert chunk.photos[-1] == pair


def test_addresses_that_differ_in_their_query_are_different_images():
    def chunk(*ids: str) -> Chunk:
        [made] = chunks(BulkRequest([], CUP, [f"http://h/img.jpg?{each}" for each in ids]))
        return made

    found = [photo.name for photo in chunk("id=1", "id=2", "id=3&sig=SECRET").photos]
    assert len(set(found)) == 3
    assert all(re.fullmatch(r"h/img-[0-9a-f]{10}\.jpg", name) for name in found)
    assert chunk("id=1").digest != chunk("id=2").digest
    assert chunk("id=1&sig=A").digest == chunk("sig=B&id=1").digest
    assert [photo.name for photo in chunk("X-Amz-Signature=SECRET").photos] == ["h/img.jpg"]


def test_two_images_of_a_chunk_share_no_name_and_the_others_keep_theirs(tmp_path: Path):
    (tmp_path / "1.jpg").touch()
    listed = ["1.jpg", "/data/x.jpg", "data/x.jpg", "./data/x.jpg", "data/y.jpg", "s3://b/A.jpg", "s3://b/a.jpg"]
    listed += ["https://h/z.jpg?sig=A", "https://h/z.jpg?sig=B"]
    [chunk] = chunks(BulkRequest([str(tmp_path)], CUP, listed))
    found = {photo.uri: photo.name for photo in chunk.photos}
    assert len({name.casefold() for name in found.values()}) == len(found) - 2, "one file and one address are named twice"
    assert found["data/x.jpg"] == found["./data/x.jpg"]
    assert found["https://h/z.jpg?sig=A"] == found["https://h/z.jpg?sig=B"] == "h/z.jpg"
    assert found["data/y.jpg"] == "data/y.jpg"
    assert re.fullmatch(r"data/x-[0-9a-f]{10}\.jpg", found["/data/x.jpg"])
    assert [chunk] == list(chunks(BulkRequest([str(tmp_path)], CUP, listed)))


def test_archives_are_chunks_of_their_own_and_parquet_files_are_cut_at_row_groups(tmp_path: Path):
    for name in ("a.png", "b.tar", "c.tgz", "e.png", "f.png"):
        (tmp_path / name).touch()
    pq.write_table(pa.table({"image": [picture()] * 7}), tmp_path / "d.parquet", row_group_size=1)
    pq.write_table(pa.table({"url": ["x.png"] * 7}), tmp_path / "g.parquet")
    found = list(chunks(BulkRequest([str(tmp_path)], CUP, chunk_size=3)))
    assert [chunk.number for chunk in found] == list(range(10))
    assert [[photo.name for photo in chunk.photos] or (chunk.container.name, chunk.container.rows) for chunk in found] == [
        ["a.png"],
        ("b.tar", None),
        ("c.tgz", None),
        ("d.parquet", (0, 3)),
        ("d.parquet", (3, 6)),
        ("d.parquet", (6, 7)),
        ["e.png", "f.png"],
        ("g.parquet", (0, 3)),
        ("g.parquet", (3, 6)),
        ("g.parquet", (6, 7)),
    ]


def test_results_inside_an_input_are_left_alone(memory):
    memory.pipe_file("/bucket/a.png", b"")
    memory.pipe_file("/bucket/out/masks/a.png.cup.png", b"")
    assert names("memory://bucket", recursive=True, exclude=["memory:///bucket/out"]) == [["a.png"]]
    assert names("memory://bucket", recursive=True, exclude=["memory://bucket/out"]) == [["a.png"]]


@pytest.mark.parametrize("store", ["memory://bucket", "local"])
@pytest.mark.parametrize("out", ["", "/run1", "/run1/images"])
def test_results_go_beside_or_above_the_images_and_only_they_are_left_alone(memory, tmp_path: Path, store: str, out: str):
    place = str(tmp_path) if store == "local" else store
    for name in ("run1/images/a.png", "run1/images/masks-of-others/b.png", "run1/images/predictions-c.png"):
        for result in ("masks/x.png.cup.png", "overlays/x.png.cup.png", "predictions-00000000.parquet", "predictions-00000000.jsonl"):
            for file in (name, f"{out}/{result}".strip("/")):
                memory.pipe_file(f"/bucket/{file}", b"")
                (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / file).touch()
    exclude = [place + out, f"{place}{out}/masks", f"{place}{out}/overlays"]
    images = f"{place}/run1/images"
    found = ["a.png", "masks-of-others/b.png", "predictions-c.png"]
    assert names(images, exclude=exclude, chunk_size=9) == [[found[0], found[2]]]
    for written in (images, f"{images}/**/*.p*"):
        [inside] = names(written, recursive=True, exclude=exclude, chunk_size=9)
        assert sorted(inside) == found


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        (["memory://bucket/empty"], DataError, "holds no images"),
        (["memory://bucket/photos", "memory://nothing"], StorageError, "there is no such file or folder"),
        (["memory://bucket/photos/*.jpg"], DataError, "holds no images"),
        (["memory://bucket/broken.parquet"], DataError, "is no parquet file"),
    ],
)
def test_every_input_must_name_something_before_the_first_chunk(memory, inputs: list[str], error: type, words: str):
    memory.pipe_file("/bucket/photos/a.png", b"")
    memory.pipe_file("/bucket/empty/note.txt", b"")
    memory.pipe_file("/bucket/broken.parquet", b"PAR1")
    with pytest.raises(error, match=words):
        next(chunks(BulkRequest(inputs, CUP, chunk_size=1)))


def test_photographs_need_an_expression_of_the_command_line(memory):
    memory.pipe_file("/bucket/photos/a.png", b"")
    with pytest.raises(UsageError, match=r"there is no expression for memory:///?bucket/photos/a.png"):
        next(chunks(BulkRequest(["memory://bucket/photos"], text="caption")))


def test_the_digest_tells_chunks_apart_and_not_signatures(tmp_path: Path):
    photo, tar = BulkPhoto("https://a.org/1.jpg?sig=1", "1.jpg", CUP), Container("s.tar", "s.tar", CUP, size=9)
    chunk = Chunk(0, (photo,))
    others = [Chunk(0, (replace(photo, **change),)) for change in ({"name": "2.jpg"}, {"expressions": ("cups",)}, {"uri": "s3://a/1.jpg"})]
    others += [Chunk(0, container=tar), Chunk(0, container=replace(tar, size=8)), Chunk(0, container=replace(tar, rows=(0, 9)))]
    assert len({each.digest for each in [chunk, *others]}) == 7
    assert Chunk(5, (replace(photo, uri="https://a.org/1.jpg?sig=2"),)).digest == chunk.digest
    assert pickle.loads(pickle.dumps(chunk)) == chunk


def test_a_tar_in_a_bucket_has_its_size_in_the_digest(memory, tmp_path: Path):
    digests = []
    for count in (1, 50_000):
        memory.pipe_file("/bucket/s.tar", write_tar(tmp_path / "s.tar", {"a.png": bytes(count)}).read_bytes())
        [chunk] = chunks(BulkRequest(["memory://bucket/s.tar"], CUP))
        digests.append(chunk.digest)
    assert digests[0] != digests[1]
