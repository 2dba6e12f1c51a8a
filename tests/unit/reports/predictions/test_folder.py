"""A folder of predictions: what stands in it, how a broken-off one is taken up, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

from cmirnet_cli.errors import CmirnetError, DataError, UsageError
from cmirnet_cli.reports.predictions.coco import write_coco
from cmirnet_cli.reports.predictions.folder import (
    CUTOUTS,
    MASKS,
    OVERLAYS,
    PROBABILITIES,
    begin_folder,
    sweep_all,
)
from cmirnet_cli.reports.predictions.gallery import write_gallery
from cmirnet_cli.reports.predictions.index import Index, append, mend, part_file, unite
from cmirnet_cli.reports.predictions.mask_files import MaskToWrite, PredictedPhoto, PredictionFolder

ALL = (MASKS, OVERLAYS, CUTOUTS, PROBABILITIES)
SETTINGS = {"weights": "abc", "threshold": 0.5}


def found(expression: str, mask: np.ndarray) -> MaskToWrite:
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    rle = {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}
    return MaskToWrite(expression, mask, 0.875, rle, np.where(mask, 0.875, 0.2).astype(np.float32))


def source(name: str = "kitchen/a.jpg") -> PredictedPhoto:
    return PredictedPhoto(Path(name), Path("/in") / name, np.random.default_rng(0).integers(1, 256, (6, 9, 3), dtype=np.uint8))


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((6, 9), bool)
    mask[top:bottom, left:right] = True
    return mask


CUP, NOTHING = found("the cup", box(1, 2, 4, 7)), found("nothing", box(0, 0, 0, 0))


@pytest.fixture
def folder(tmp_path: Path) -> PredictionFolder:
    return PredictionFolder(tmp_path / "out", ALL)


@pytest.fixture
def written(folder: PredictionFolder) -> PredictionFolder:
    begin_folder(folder.folder, SETTINGS, skip_existing=False, overwrite=False)
    assert folder.add(source(), [CUP, NOTHING], part_file(folder.folder, 0, 1)) == 2
    return folder


def picture(folder: PredictionFolder, kind: str, expression: str = "the-cup") -> np.ndarray:
    return np.asarray(Image.open(folder.folder / kind / "kitchen" / f"a.jpg.{expression}.png"))


def test_a_mask_is_0_and_255_and_mirrors_the_folders(written: PredictionFolder):
    assert np.array_equal(picture(written, MASKS), CUP.mask * np.uint8(255))
    assert not picture(written, MASKS, "nothing").any()


def test_a_cutout_is_the_object_on_transparency_and_nothing_else(written: PredictionFolder):
    cutout = picture(written, CUTOUTS)
    assert np.array_equal(cutout[..., 3], CUP.mask * np.uint8(255))
    assert np.array_equal(cutout[CUP.mask][:, :3], source().pixels[CUP.mask])
    assert not cutout[~CUP.mask].any()


def test_a_probability_picture_goes_from_0_to_255(written: PredictionFolder):
    assert np.array_equal(picture(written, PROBABILITIES), np.where(CUP.mask, 223, 51))


def test_a_line_says_all_about_a_mask(written: PredictionFolder):
    line, empty = unite(written.folder, [("kitchen/a.jpg", "the cup"), ("kitchen/a.jpg", "nothing")])
    assert line == {
        "image": "kitchen/a.jpg",
        "path": "/in/kitchen/a.jpg",
        "expression": "the cup",
        "mask": "masks/kitchen/a.jpg.the-cup.png",
        "score": 0.875,
        "known": True,
        "size": [6, 9],
        "box": [2, 1, 5, 3],
        "area": 15,
        "rle": dict(CUP.rle),
    }
    assert np.array_equal(coco.decode(line["rle"]), CUP.mask)
    assert (empty["area"], empty["box"]) == (0, None)


def test_the_index_appears_when_all_is_done_and_takes_the_parts_away(written: PredictionFolder):
    assert not (written.folder / "predictions.jsonl").exists()
    unite(written.folder, [("kitchen/a.jpg", "the cup")])
    assert [path.name for path in sorted(written.folder.glob("*.jsonl"))] == ["predictions.jsonl"]


def test_lines_of_several_parts_stand_in_the_order_in_which_they_were_asked_for(tmp_path: Path):
    for rank, names in enumerate(["bd", "ac"]):
        append(part_file(tmp_path, rank, 2), [{"image": name, "expression": "x"} for name in names])
    united = unite(tmp_path, [(name, "x") for name in "abzcd"])
    assert [line["image"] for line in united] == ["a", "b", "c", "d"]
    assert [json.loads(line)["image"] for line in (tmp_path / "predictions.jsonl").read_text().splitlines()] == ["a", "b", "c", "d"]


def test_what_an_earlier_run_was_asked_besides_stays_in_the_index(tmp_path: Path):
    append(tmp_path / "predictions.jsonl", [{"image": "a", "expression": "old"}, {"image": "a", "expression": "new", "score": 1}])
    append(part_file(tmp_path, 0, 1), [{"image": "a", "expression": "new", "score": 2}])
    assert [line["score"] for line in unite(tmp_path, [("a", "new")])] == [2]
    assert [json.loads(line)["expression"] for line in (tmp_path / "predictions.jsonl").read_text().splitlines()] == ["old", "new"]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_that_was_never_finished_is_dropped_and_the_next_one_follows_the_last_whole_one(tmp_path: Path, cut: int):
    part = part_file(tmp_path, 0, 1)
    append(part, [{"image": "a", "expression": "x"}])
    whole = part.read_bytes()
    append(part, [{"image": "b", "expression": "x"}])
    part.write_bytes(part.read_bytes()[:-cut])
    assert list(Index.read(tmp_path).places) == [("a", "x")]
    mend(part)
    assert part.read_bytes() == whole


def test_a_damaged_line_is_an_error_with_its_number(tmp_path: Path):
    (tmp_path / "predictions.jsonl").write_text('{"image": "a", "expression": "x"}\nrubbish\n')
    with pytest.raises(DataError, match=r"predictions\.jsonl: line 2 is damaged"):
        Index.read(tmp_path)


def test_a_name_that_is_no_unicode_text_survives_in_the_index(tmp_path: Path):
    append(part_file(tmp_path, 0, 1), [{"image": "caf\udce9.jpg", "expression": "é"}])
    (line,) = unite(tmp_path, [("caf\udce9.jpg", "é")])
    assert line["image"] == "caf\udce9.jpg"


def test_a_photo_is_done_when_every_line_and_every_picture_is_there_to_its_end(written: PredictionFolder):
    def done(*expressions: str) -> bool:
        return written.holds(Index.read(written.folder), Path("kitchen/a.jpg"), expressions)

    assert done("the cup", "nothing")
    assert not done("the cup", "another")
    overlay = written.folder / OVERLAYS / "kitchen" / "a.jpg.the-cup.png"
    overlay.write_bytes(overlay.read_bytes()[:-4])
    assert not done("the cup")
    overlay.write_bytes(b"")
    assert not done("the cup")
    overlay.unlink()
    assert not done("the cup")
    assert done("nothing")


def test_a_folder_with_predictions_is_continued_or_replaced_on_request_only(written: PredictionFolder):
    with pytest.raises(UsageError, match="holds predictions already") as caught:
        begin_folder(written.folder, SETTINGS, skip_existing=False, overwrite=False)
    assert "--skip-existing" in str(caught.value.hint)
    begin_folder(written.folder, SETTINGS, skip_existing=True, overwrite=False)
    assert Index.read(written.folder).places
    begin_folder(written.folder, SETTINGS, skip_existing=False, overwrite=True)
    assert not Index.read(written.folder).places


def test_other_settings_cannot_continue(written: PredictionFolder):
    with pytest.raises(UsageError, match=r"threshold was 0\.5, now 0\.7"):
        begin_folder(written.folder, SETTINGS | {"threshold": 0.7}, skip_existing=True, overwrite=False)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CmirnetError, match="cannot write"):
        begin_folder(tmp_path / "file" / "out", SETTINGS, skip_existing=False, overwrite=False)


def test_leftovers_of_killed_processes_are_taken_away(written: PredictionFolder):
    leftover = written.folder / MASKS / "kitchen" / ".cmirnet-0123456789abcdef.tmp"
    leftover.write_bytes(b"half")
    sweep_all(written.folder)
    assert not leftover.exists()
    assert picture(written, MASKS).any()


def test_what_other_programs_write_below_the_folder_stays(written: PredictionFolder):
    run = written.folder / "runs" / "a" / ".cmirnet-0123456789abcdef.tmp"
    prepared = written.folder / ".cmirnet-89abcdef-0123456789abcdef.tmp" / "sentences.jsonl"
    for file in (run, prepared):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"half")
    sweep_all(written.folder)
    assert (run.exists(), prepared.exists()) == (True, True)


def test_pycocotools_reads_the_coco_file(written: PredictionFolder, tmp_path: Path):
    lines = unite(written.folder, [("kitchen/a.jpg", "the cup"), ("kitchen/a.jpg", "nothing")])
    write_coco(tmp_path / "coco.json", lines)
    read = COCO(str(tmp_path / "coco.json"))
    (image,), (annotation,) = read.loadImgs(read.getImgIds()), read.loadAnns(read.getAnnIds())
    assert (image["file_name"], image["height"], image["width"]) == ("kitchen/a.jpg", 6, 9)
    assert [category["name"] for category in read.loadCats(read.getCatIds())] == ["the cup", "nothing"]
    assert read.loadCats(annotation["category_id"])[0]["name"] == "the cup"
    assert np.array_equal(read.annToMask(annotation), CUP.mask)
    assert (annotation["bbox"], annotation["area"], annotation["score"]) == ([2, 1, 5, 3], 15, 0.875)


def test_a_coco_file_of_nothing_is_still_one(tmp_path: Path):
    write_coco(tmp_path / "coco.json", [])
    assert json.loads((tmp_path / "coco.json").read_text()) == {"images": [], "categories": [], "annotations": []}


def test_a_gallery_shows_no_more_than_a_browser_bears_and_says_so(folder: PredictionFolder, read_page):
    names = [f"{number}.jpg" for number in range(7)]
    for name in names:
        folder.add(source(name), [CUP], part_file(folder.folder, 0, 1))
    lines = unite(folder.folder, [(name, "the cup") for name in names])
    assert write_gallery(folder.folder, lines, most=3) == 3
    page = read_page((folder.folder / "gallery.html").read_text())
    assert len(page.pictures()) == 3
    assert "3 of 7 masks, one in 3" in (folder.folder / "gallery.html").read_text()
    assert write_gallery(folder.folder, lines) == 7
    assert "one in" not in (folder.folder / "gallery.html").read_text()
