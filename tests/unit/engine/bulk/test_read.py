"""What chunks hold: photographs from tar archives, parquet files and storage, in order, broken ones with their reason."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmirnet_cli.engine.bulk import read as reading
from cmirnet_cli.engine.bulk.chunk import BulkPhoto, Chunk, Container
from cmirnet_cli.engine.bulk.read import StoredPhoto, read_photos
from cmirnet_cli.errors import ImageError, StorageError
from cmirnet_cli.storage.ahead import in_background, read_ahead
from tests.unit.engine.bulk.conftest import picture, write_tar

CUP = ("cup",)


def told(photos: list[StoredPhoto]) -> list[tuple[str, tuple[str, ...], bytes | str]]:
    """Name, expressions, and content or problem of each."""
    return [(each.name, each.expressions, str(each.content) if isinstance(each.content, ImageError) else each.content) for each in photos]


def of_tar(file: Path | str, expressions: tuple[str, ...] = CUP, text: str = "") -> list[StoredPhoto]:
    return list(read_photos(Chunk(0, container=Container(str(file), "s.tar", expressions, text))))


def of_parquet(file: Path, rows: tuple[int, int], expressions: tuple[str, ...] = CUP, text: str = "") -> list[StoredPhoto]:
    return list(read_photos(Chunk(0, container=Container(str(file), "p.parquet", expressions, text, rows=rows))))


def test_every_picture_of_an_archive_comes_with_the_expressions_for_all(tmp_path: Path):
    members = {"a.png": picture(1), "a.json": b"{}", "b/c.png": picture(2), "._a.png": b"", "d.heic": b"x", "e.txt": b"words"}
    file = write_tar(tmp_path / "s.tar", members)
    found = told(of_tar(file))
    assert found == [("s.tar/a.png", CUP, picture(1)), ("s.tar/b/c.png", CUP, picture(2)), ("s.tar/d.heic", CUP, b"x")]
    assert told(of_tar(write_tar(tmp_path / "s.tgz", members, "w:gz"))) == found


def test_a_sample_has_its_own_expressions_in_a_member_or_in_its_json(tmp_path: Path):
    caption = json.dumps({"caption": ["cat", "dog"]}).encode()
    members = {
        **{"1.png": picture(), "1.caption": b"left person\n\nred cup\n"},
        **{"2.caption": b"cup", "2.seg.png": picture(), "2.png": picture()},
        **{"3.png": picture(), "3.json": caption},
        **{"4.png": picture(), "4.json": b"{broken"},
    }
    found = of_tar(write_tar(tmp_path / "s.tar", members), (), "caption")
    assert [each.expressions for each in found] == [("left person", "red cup"), ("cup",), ("cup",), ("cat", "dog"), ()]
    assert "4 has no expression: 'caption' holds no text" in str(found[-1].content)
    assert [each.expressions for each in of_tar(tmp_path / "s.tar", CUP, "caption")][3:] == [("cup", "cat", "dog"), CUP]


def test_members_of_one_name_are_filed_under_different_ones(tmp_path: Path):
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for shade, name in enumerate(["a.png", "./a.png", "A.png", "a.png", "b.png"]):
            info = tarfile.TarInfo(name)
            info.size = len(picture(shade))
            archive.addfile(info, io.BytesIO(picture(shade)))
    found = of_tar(tmp_path / "s.tar")
    assert [each.content for each in found] == [picture(shade) for shade in range(5)]
    assert (found[0].name, found[4].name) == ("s.tar/a.png", "s.tar/b.png")
    assert len({each.name.casefold() for each in found}) == 5
    assert found == of_tar(tmp_path / "s.tar")


def damaged(file: Path, kind: str) -> Path:
    whole = write_tar(file, {f"{number}.png": picture(number) for number in range(9)}).read_bytes()
    spoiled = {
        "cut": whole[:3000],
        "cut between members": whole[: 4 * 1024],
        "cut while packed": gzip.compress(whole)[:200],
        "header": whole[: 4 * 1024] + b"x" * 99 + whole[4 * 1024 + 99 :],
    }
    file.write_bytes(spoiled[kind])
    return file


@pytest.mark.parametrize("kind", ["cut", "cut between members", "cut while packed", "header"])
def test_a_damaged_archive_is_named_after_what_could_be_read_of_it(tmp_path: Path, kind: str):
    *found, last = told(of_tar(damaged(tmp_path / "s.tar", kind)))
    assert [name for name, _, _ in found] == [f"s.tar/{number}.png" for number in range(len(found))]
    assert len(found) < 9
    assert last[:2] == ("s.tar", ())
    assert "s.tar cannot be read to its end" in str(last[2])


def test_nothing_is_an_archive_that_cannot_be_read(tmp_path: Path):
    (tmp_path / "s.tar").write_bytes(b"no archive")
    [(name, _, problem)] = told(of_tar(tmp_path / "s.tar"))
    assert (name, "cannot be read to its end" in str(problem)) == ("s.tar", True)


STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"bytes": picture(n), "path": f"{n}.png"} for n in range(5)], STRUCT),
        pa.array([{"bytes": None, "path": f"{n}.png"} for n in range(5)], STRUCT),
        pa.array([picture(n) for n in range(5)]),
        pa.array([picture(n) for n in range(5)], pa.large_binary()),
        pa.array([f"{n}.png" for n in range(5)]),
    ],
    ids=["struct", "struct of paths", "bytes", "large bytes", "paths"],
)
@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_rows_hold_pictures_in_every_form(memory, tmp_path: Path, column: pa.Array, place: str):
    pq.write_table(pa.table({"id": range(5), "image": column}), tmp_path / "p.parquet", row_group_size=2)
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    uri = str(tmp_path / "p.parquet")
    if place == "bucket":
        memory.put(f"{tmp_path}/", "/bucket", recursive=True)
        uri = "memory://bucket/p.parquet"
    found = read_photos(Chunk(0, container=Container(uri, "p.parquet", CUP, rows=(1, 4))))
    assert told(list(found)) == [(f"p.parquet/{number}", CUP, picture(number)) for number in (1, 2, 3)]


def test_a_row_without_a_picture_or_an_expression_is_named(tmp_path: Path):
    table = pa.table({"image": pa.array([picture(), None, b"", picture()]), "text": [["cup", "cup"], ["a"], ["a"], None]})
    pq.write_table(table, tmp_path / "p.parquet")
    found = told(of_parquet(tmp_path / "p.parquet", (0, 4), (), "text"))
    assert found[0] == ("p.parquet/0", ("cup",), picture())
    assert [problem.partition("p.parquet, ")[2] for _, _, problem in found[1:]] == [
        "row 1 holds no picture",
        "row 2 holds no picture",
        "row 3 has no expression: 'text' holds no text",
    ]


def test_a_file_that_is_not_there_is_its_own_problem_and_storage_that_fails_is_everybodys(memory, tmp_path: Path, monkeypatch):
    memory.pipe_file("/bucket/large.png", bytes(100))
    monkeypatch.setattr(reading, "LARGEST_FILE", 99)
    photos = [BulkPhoto(uri, "x", CUP) for uri in ("memory://bucket/no.png", str(tmp_path / "no.png"), "memory://bucket/large.png")]
    problems = [str(each.content) for each in read_photos(Chunk(0, (*photos, BulkPhoto("http://127.0.0.1:9/a.png?sig=SECRET", "x", CUP))))]
    assert problems[:3] == [
        "cannot read memory://bucket/no.png: there is no such file or folder",
        f"cannot read {tmp_path / 'no.png'}: No such file or directory",
        "memory://bucket/large.png has more than 99 bytes",
    ]
    assert problems[3].startswith("cannot read http://127.0.0.1:9/a.png: the connection failed")

    def forbidden(*_: object, **__: object) -> bytes:
        raise PermissionError

    monkeypatch.setattr(type(memory), "cat_file", forbidden)
    with pytest.raises(StorageError, match=r"cannot read memory://bucket/no\.png: access is forbidden"):
        list(read_photos(Chunk(0, tuple(photos))))


def test_threads_read_ahead_in_order_and_no_further_than_they_are_many():
    begun, all_at_once = [], threading.Barrier(4)

    def read(number: int) -> int:
        begun.append(number)
        if number < 4:
            all_at_once.wait(10)
        return number * 2

    ahead = read_ahead(iter(range(100)), read, ahead=4)
    assert next(ahead) == 0
    assert max(begun) <= 5
    assert list(ahead) == [number * 2 for number in range(1, 100)]


def test_what_happens_ahead_is_raised_in_its_place():
    def read(number: int) -> int:
        return 1 // (3 - number)

    ahead, background = read_ahead(range(9), read, ahead=4), in_background(iter(map(read, range(9))))
    for results in (ahead, background):
        assert [next(results) for _ in range(3)] == [0, 0, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)
