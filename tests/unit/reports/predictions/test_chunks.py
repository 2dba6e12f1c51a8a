"""Files of rows in a folder or a bucket: each chunk whole or not there, readable by others, and known again by its digest."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from pycocotools import mask as coco

from cmirnet_cli.errors import DataError, UsageError
from cmirnet_cli.images.masks import bounding_box, coco_rle
from cmirnet_cli.reports.predictions.chunk_files import remove_stale_masks, retire_chunks
from cmirnet_cli.reports.predictions.chunks import begin_place
from cmirnet_cli.reports.predictions.folder import begin_folder
from cmirnet_cli.reports.predictions.mask_files import MaskToWrite, PredictedPhoto, PredictionFolder
from cmirnet_cli.reports.predictions.parquet import ParquetChunks
from cmirnet_cli.reports.predictions.pictures import PngChunks
from cmirnet_cli.storage.place import Place

SETTINGS = {"weights": "0f", "threshold": 0.5, "format": "parquet"}
MASK = np.zeros((5, 4), np.bool_)
MASK[1:3, 2:] = True
WRITERS = {"parquet": ParquetChunks, "jsonl": PngChunks}


@dataclass(frozen=True)
class Named:
    """A chunk, as far as a writer sees one."""

    number: int
    digest: str


def row(image: str, expression: str | None = "cup", error: str | None = None) -> dict[str, Any]:
    found = {
        "score": 0.5,
        "known": True,
        "size": [5, 4],
        "box": list(bounding_box(MASK)),
        "area": int(MASK.sum()),
        "rle": coco_rle(MASK),
        "error": None,
    }
    if error:
        found, expression = {**dict.fromkeys(found), "error": error}, None
    return {"image": image, "path": f"s3://bucket/{image}", "expression": expression, **found}


ROWS = [row("a/b.png"), row("a/b.png", "dog"), row("c.png", error="it is broken")]


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    fsspec.filesystem("memory").store.clear()
    return Place(str(tmp_path / "out") if request.param == "folder" else "memory://bucket/out")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_chunk_is_known_again_by_its_digest(place: Place, kind: str):
    writer = WRITERS[kind](place)
    assert writer.finished(Named(3, "d")) is None
    writer.write(Named(3, "d"), iter(ROWS))
    assert writer.finished(Named(3, "d")) == {"images": 2, "masks": 2, "empty": 0, "broken": 1}
    assert writer.finished(Named(3, "other")) is None
    assert writer.finished(Named(4, "d")) is None


@pytest.mark.parametrize("kind", WRITERS)
def test_a_chunk_that_breaks_off_is_not_there_and_an_earlier_one_of_its_number_not_finished(place: Place, kind: str):
    def breaking() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise KeyboardInterrupt

    writer = WRITERS[kind](place)
    with pytest.raises(KeyboardInterrupt):
        writer.write(Named(0, "d"), breaking())
    assert [name for name in place.names() if name.startswith(("predictions", ".")) and not name.endswith("stale")] == []
    writer.write(Named(0, "e"), iter(ROWS))
    with pytest.raises(KeyboardInterrupt):
        writer.write(Named(0, "d"), breaking())
    assert writer.finished(Named(0, "d")) is None
    writer.write(Named(0, "d"), iter(ROWS[:1]))
    assert writer.finished(Named(0, "d")) == {"images": 1, "masks": 1, "empty": 0, "broken": 0}


def test_parquet_holds_the_rows_as_they_are(place: Place):
    odd = row("odd-\udcff.png")
    ParquetChunks(place).write(Named(0, "d"), iter([*ROWS, odd]))
    table = pq.read_table(io.BytesIO(place.read("predictions-00000000.parquet")))
    assert table.to_pylist() == [*ROWS, {**odd, "image": "odd-\\udcff.png", "path": "s3://bucket/odd-\\udcff.png"}]
    np.testing.assert_array_equal(coco.decode(table.to_pylist()[0]["rle"]), MASK)


def test_a_chunk_without_an_image_is_finished_too(place: Place):
    for writer in (ParquetChunks(place), PngChunks(place)):
        writer.write(Named(0, "d"), iter(()))
        assert writer.finished(Named(0, "d")) == {"images": 0, "masks": 0, "empty": 0, "broken": 0}


def test_masks_and_lines_are_those_of_a_local_folder(place: Place, tmp_path: Path):
    photo = PredictedPhoto(Path("a/b.png"), Path("s3://bucket/a/b.png"), np.zeros((5, 4, 3), np.uint8))
    local = PredictionFolder(tmp_path / "local")
    local.add(photo, [MaskToWrite("The cup!", MASK, 0.5, coco_rle(MASK))], tmp_path / "local" / "lines.jsonl")
    PngChunks(place).write(Named(0, "d"), iter([row("a/b.png", "The cup!")]))
    [line] = map(json.loads, (tmp_path / "local" / "lines.jsonl").read_text().splitlines())
    [bulk] = map(json.loads, place.read("predictions-00000000.jsonl").splitlines())
    assert bulk == {**line, "path": "s3://bucket/a/b.png", "error": None}
    assert place.read(bulk["mask"]) == (tmp_path / "local" / line["mask"]).read_bytes()


def named(place: Place) -> set[str]:
    """The masks that lines name."""
    lines = [line for name in place.names() if name.endswith(".jsonl") for line in place.read(name).splitlines()]
    return {line["mask"] for line in map(json.loads, lines) if line["mask"]}


def written(place: Place, groups: str) -> None:
    """Write chunks of images that are named by letters, and remove what is left of earlier ones: "ab cd" are two chunks."""
    chunks = groups.split()
    for number, images in enumerate(chunks):
        PngChunks(place).write(Named(number, images), [row(image) for image in images])
    retire_chunks(place, len(chunks))
    remove_stale_masks(place, len(chunks))


def test_images_that_move_to_another_chunk_keep_their_masks_and_those_that_are_gone_lose_them(place: Place):
    for groups in ("ab cd e", "bc de", "e", "abc"):
        written(place, groups)
        assert named(place) == set(place.below("masks")) == {f"masks/{image}.cup.png" for image in groups.replace(" ", "")}
        assert not [name for name in place.names() if name.endswith("stale")]


def test_what_a_run_that_broke_off_left_is_mended_by_the_next_one(place: Place):
    def breaking() -> Iterator[dict[str, Any]]:
        yield row("d")
        yield row("x")
        while place.read("masks/x.cup.png") is None:  # written by a thread
            time.sleep(0.001)
        raise KeyboardInterrupt

    written(place, "ab cd e")
    PngChunks(place).write(Named(0, "bc"), [row("b"), row("c")])
    with pytest.raises(KeyboardInterrupt):
        PngChunks(place).write(Named(1, "xd"), breaking())
    remove_stale_masks(place, 3)
    assert set(place.below("masks")) == {f"masks/{image}.cup.png" for image in "abcdex"}, "a chunk is not there yet"
    PngChunks(place).write(Named(1, "de"), [row("d"), row("e")])
    retire_chunks(place, 2)
    remove_stale_masks(place, 2)
    assert named(place) == set(place.below("masks")) == {f"masks/{image}.cup.png" for image in "bcde"}


def test_a_line_that_leads_out_of_the_place_removes_nothing_there(tmp_path: Path):
    place = Place(str(tmp_path / "out"))
    (tmp_path / "out" / "masks").mkdir(parents=True)
    mine = tmp_path / "mine.cup.png"
    mine.write_bytes(b"mine")
    for mask in ("masks/../../mine.cup.png", "../mine.cup.png", str(mine)):
        place.write("predictions-00000000.jsonl", json.dumps({"mask": mask}).encode())
        retire_chunks(place, 0)
        remove_stale_masks(place, 0)
    assert mine.read_bytes() == b"mine"
    assert list(place.names()) == []


def test_rows_of_chunks_beyond_the_last_are_removed(place: Place):
    for writer in (ParquetChunks(place), PngChunks(place)):
        for number in range(3):
            writer.write(Named(number, "d"), iter([row(f"{number}.png")]))
    place.write("predictions-notes.jsonl", b"mine")
    assert retire_chunks(place, 1) == 4
    kept = ["predictions-00000000.json", "predictions-00000000.jsonl", "predictions-00000000.parquet", "predictions-notes.jsonl"]
    assert sorted(name for name in place.names() if not name.endswith("stale")) == kept


@pytest.mark.parametrize("form", ["png", "parquet"])
def test_overwrite_leaves_nothing_of_a_chunk_that_broke_off_but_whatever_is_not_named_as_ours(place: Place, form: str):
    place.write("settings.json", json.dumps({"format": form}).encode())
    others = ["masks/0001.png", "masks/notes.txt"]
    for name in [*others, "masks/a/b.png.cup.png"]:
        place.write(name, b"")
    begin_place(place, SETTINGS, skip_existing=False, overwrite=True)
    kept = others if form == "png" else [*others, "masks/a/b.png.cup.png"]
    assert sorted(place.below("masks")) == sorted(kept)


def test_a_damaged_parquet_file_counts_as_unfinished(place: Place):
    writer = ParquetChunks(place)
    writer.write(Named(0, "d"), iter(ROWS))
    whole = place.read("predictions-00000000.parquet")
    length = int.from_bytes(whole[-8:-4], "little")
    for damaged in (b"", whole[:-8] + whole[-4:], whole[: -8 - length] + b"\xff" * length + whole[-8:]):
        place.write("predictions-00000000.parquet", damaged)
        assert writer.finished(Named(0, "d")) is None


def test_a_place_is_begun_continued_or_replaced_but_never_mixed(place: Place):
    begin_place(place, SETTINGS, skip_existing=False, overwrite=False)
    ParquetChunks(place).write(Named(0, "d"), iter(ROWS))
    with pytest.raises(UsageError, match="holds predictions already") as told:
        begin_place(place, SETTINGS, skip_existing=False, overwrite=False)
    assert "--skip-existing" in str(told.value.hint)
    begin_place(place, SETTINGS, skip_existing=True, overwrite=False)
    with pytest.raises(UsageError, match=r"other settings: threshold was 0.5, now 0.6, chunk was None, now 9$"):
        begin_place(place, {**SETTINGS, "threshold": 0.6, "chunk": 9}, skip_existing=True, overwrite=False)
    inputs = {"inputs": ["/a", "/b"]}
    begin_place(place, {**SETTINGS, **inputs}, skip_existing=False, overwrite=True)
    begin_place(place, {**SETTINGS, "inputs": ["/b", "/c", "/a"]}, skip_existing=True, overwrite=False)
    with pytest.raises(UsageError, match=r"inputs was /c, /a and 1 more, now /1, /2, /3 and 2 more$") as told:
        begin_place(place, {**SETTINGS, "inputs": ["/b", "/1", "/2", "/3", "/4"]}, skip_existing=True, overwrite=False)
    assert "--overwrite" in str(told.value.hint)
    ParquetChunks(place).write(Named(0, "d"), iter(ROWS))
    begin_place(place, {**SETTINGS, "threshold": 0.6}, skip_existing=False, overwrite=True)
    assert list(place.names()) == ["settings.json"]
    assert json.loads(place.read("settings.json"))["threshold"] == 0.6
    place.write("settings.json", b"{broken")
    with pytest.raises(DataError, match="cannot read the settings of the earlier run"):
        begin_place(place, SETTINGS, skip_existing=True, overwrite=False)


def test_a_local_folder_of_chunks_is_not_continued_without_chunks_and_the_other_way_round(tmp_path: Path):
    place = Place(str(tmp_path))
    begin_place(place, SETTINGS, skip_existing=False, overwrite=False)
    PngChunks(place).write(Named(0, "d"), iter(ROWS))
    with pytest.raises(UsageError, match="it was written in chunks"):
        begin_folder(tmp_path, {"weights": "0f"}, skip_existing=True, overwrite=False)
    begin_folder(tmp_path, {"weights": "0f"}, skip_existing=False, overwrite=True)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["settings.json"]
    photo = PredictedPhoto(Path("b.png"), Path("b.png"), np.zeros((5, 4, 3), np.uint8))
    PredictionFolder(tmp_path).add(photo, [MaskToWrite("cup", MASK, 0.5, coco_rle(MASK))], tmp_path / "predictions-00000-of-00001.jsonl")
    with pytest.raises(UsageError, match="format was None, now parquet"):
        begin_place(place, SETTINGS, skip_existing=True, overwrite=False)
    begin_place(place, SETTINGS, skip_existing=False, overwrite=True)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["settings.json"]
