"""Odd masks are counted by kind, with examples, before anything is written."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.cache.annotations import Table
from cmirnet_cli.cache.audit import KINDS, audit_warnings, require_sound
from cmirnet_cli.cache.drawing import draw_masks
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions, Manifest, MaskFinding, signed
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.images.masks import coco_rle
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence

WIDTH, HEIGHT = 40, 30
SMALL = CacheOptions(sizes=(8,))
BOX = [5, 5, 25, 5, 25, 20, 5, 20]
DOT = np.zeros((HEIGHT, WIDTH), bool)
DOT[3, 4] = True


def dataset(folder: Path, *outlines: Any, split: str = "train", oddity: Any = None) -> ReferDataset:
    """Referents of one picture, each with one of the outlines; None refers to nothing."""
    path = folder / "1.png"
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)
    image = ImageRecord(1, path, HEIGHT, WIDTH)
    referents = [
        Referent(number, split, image, "", () if outline is None else (outline,), (Sentence(number, f"thing {number}"),), oddity=oddity)
        for number, outline in enumerate(outlines)
    ]
    return ReferDataset("own", "x", tuple(referents), (path,))


def found(folder: Path, *outlines: Any, **how: Any) -> dict[str, int]:
    audit = draw_masks(dataset(folder, *outlines, **how), SMALL, lambda done: None).audit
    return {each.kind: each.count for each in audit}


def scaled(outline: list[float], x: float, y: float, right: float = 0, down: float = 0) -> list[float]:
    return [number * x + right if place % 2 == 0 else number * y + down for place, number in enumerate(outline)]


@pytest.mark.parametrize(
    ("outline", "kind"),
    [
        pytest.param([scaled(BOX, 1 / WIDTH, 1 / HEIGHT)], "normalised", id="in parts of the picture"),
        pytest.param([[0, 0, 1, 0, 1, 1, 0, 1]], "normalised", id="the whole picture in parts"),
        pytest.param([[0.2, -0.01, 1.004, 0, 1.004, 1, 0.2, 1]], "normalised", id="in parts and not clipped"),
        pytest.param([scaled(BOX, 1 / WIDTH, 1 / HEIGHT), [0.1, 0.1, 0.2, 0.1, 0.2, 0.2]], "normalised", id="two polygons in parts"),
        pytest.param([scaled(BOX, 1, 1, right=50)], "outside", id="right of the picture"),
        pytest.param([scaled(BOX, 1, 1, down=-40)], "outside", id="above it"),
        pytest.param([scaled(BOX, 1, 1, right=-60), scaled(BOX, 1, 1, down=50)], "outside", id="left of it and below"),
        pytest.param([scaled(BOX, 1, 1, right=25)], "partly outside", id="half beside it"),
        pytest.param([scaled(BOX, 2, 2)], "partly outside", id="of a picture of twice the size"),
        pytest.param([[9, 9, 9, 9, 9, 9]], "no area", id="a point"),
        pytest.param([[2, 2, 12, 12, 22, 22]], "no area", id="a line"),
        pytest.param([[2, 2, 30, 2, 30, 2, 2, 2]], "no area", id="a box without height"),
        pytest.param(coco_rle(DOT), "no area", id="one pixel"),
        pytest.param([BOX, BOX], "overlap", id="one polygon twice"),
        pytest.param(coco_rle(DOT & False), "empty", id="an empty RLE"),
        pytest.param([[9.1, 9.1, 9.3, 9.1, 9.3, 9.3]], "empty", id="a polygon that meets no pixel"),
        pytest.param(coco_rle(DOT | True), "whole", id="a full RLE"),
        pytest.param([[-20, -20, 60, -20, 60, 50, -20, 50]], "whole", id="a polygon around the picture"),
    ],
)
def test_an_odd_outline_is_counted(tmp_path: Path, outline: Any, kind: str):
    assert found(tmp_path, outline, [BOX]) == {kind: 1}


@pytest.mark.parametrize(
    "outline",
    [
        pytest.param([BOX], id="a box"),
        pytest.param([scaled(BOX, 1, 1, right=16)], id="a box that leaves a little"),
        pytest.param([[5, 5, 6, 5, 6, 25, 5, 25]], id="one pixel wide"),
        pytest.param([[5, 5, 25, 20, 25, 5, 5, 20]], id="crossed, with no signed area"),
        pytest.param([BOX, [1, 1, 20, 28]], id="four numbers beside a polygon"),
        pytest.param([[0, 0, 3, 0, 3, 3, 0, 3]], id="in the corner"),
        pytest.param(None, id="no target"),
    ],
)
def test_a_sound_outline_is_not(tmp_path: Path, outline: Any):
    assert found(tmp_path, outline, [BOX]) == {}


@pytest.mark.parametrize("oddity", ["alpha", "background", "noise", "inverted", "turned"])
def test_what_a_reader_noticed_is_counted(tmp_path: Path, oddity: str):
    assert found(tmp_path, [BOX], oddity=oddity) == {oddity: 1}


def test_a_mask_without_background_is_counted_once(tmp_path: Path):
    assert found(tmp_path, coco_rle(DOT | True), oddity="background") == {"background": 1}
    assert found(tmp_path, coco_rle(DOT & False), oddity="turned") == {"empty": 1, "turned": 1}


def test_three_examples_name_image_sentence_and_record(tmp_path: Path):
    made = dataset(tmp_path, *[coco_rle(DOT & False)] * 5, [BOX], None)
    named = replace(made, referents=(replace(made.referents[0], record="annotation 7"), *made.referents[1:]))
    (finding,) = draw_masks(named, SMALL, lambda done: None).audit
    examples = ('1.png "thing 0" (annotation 7)', '1.png "thing 1" (ref 1)', '1.png "thing 2" (ref 2)')
    assert finding == MaskFinding("train", "empty", count=5, masks=6, examples=examples)
    (warning,) = audit_warnings([finding])
    assert warning.startswith(f"train: 5 of 6 masks are empty: {'; '.join(examples)}. Draw the object")


def finding(kind: str, count: int, masks: int, split: str = "train") -> MaskFinding:
    return MaskFinding(split, kind, count, masks, ("1.png",))


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_of_which_every_mask_is_wrong_in_one_way_is_refused(kind: str):
    require_sound([finding(kind, 9, 10)], strict=False)
    if KINDS[kind].refused:
        with pytest.raises(AnnotationError, match="val: 2 of 2 masks ") as caught:
            require_sound([finding(kind, 9, 10), finding(kind, 2, 2, "val")], strict=False)
        assert caught.value.hint == KINDS[kind].remedy
    else:
        require_sound([finding(kind, 2, 2)], strict=False)


@pytest.mark.parametrize("kind", KINDS)
def test_strict_refuses_a_single_one(kind: str):
    require_sound([], strict=True)
    with pytest.raises(AnnotationError, match="--strict allows no odd masks"):
        require_sound([finding(kind, 1, 1000)], strict=True)


def test_the_audit_is_part_of_the_manifest_and_of_the_cache(tmp_path: Path):
    manifest = write_cache(dataset(tmp_path, [BOX], coco_rle(DOT), None), tmp_path / "cache", SMALL)
    assert manifest.audit == (MaskFinding("train", "no area", 1, 2, ('1.png "thing 1" (ref 1)',)),)
    assert Manifest.from_json(manifest.to_json()) == manifest
    cache = Cache.open(tmp_path / "cache")
    assert cache.manifest.audit == manifest.audit
    assert [cache.refers_to_nothing(row) for row in range(3)] == [False, False, True]


def test_masks_are_checked_before_anything_is_written(tmp_path: Path):
    made = dataset(tmp_path, [BOX], [BOX, BOX])

    def refuse(masks: Any) -> None:
        require_sound(masks.audit, strict=True)

    with pytest.raises(AnnotationError):
        write_cache(made, tmp_path / "out" / "cache", SMALL, check=refuse)
    assert not (tmp_path / "out").exists()
    write_cache(made, tmp_path / "out" / "cache", CacheOptions(sizes=(8,), overlap="union"), check=refuse)


def test_what_cannot_be_drawn_is_an_error_or_left_out_and_counted(tmp_path: Path):
    made = dataset(tmp_path, [BOX], [[1, 2, 3, 4]])
    with pytest.raises(AnnotationError, match=r"ref 1 on 1\.png: the polygon .* is malformed"):
        write_cache(made, tmp_path / "cache", SMALL)
    manifest = write_cache(made, tmp_path / "cache", SMALL, check=lambda masks: None)
    assert manifest.audit == (MaskFinding("train", "left out", 1, 2, ('1.png "thing 1" (ref 1)',)),)
    assert manifest.counts["train"].refs == len(Cache.open(tmp_path / "cache").referent_rows("train")) == 1


def test_the_docs_list_every_kind_in_the_words_of_the_code():
    page = (Path(__file__).parents[3] / "docs" / "your-data.md").read_text(encoding="utf-8")
    rows = "".join(f"| {kind.name} | {kind.says} | {kind.remedy} |\n" for kind in KINDS.values())
    assert f"| odd masks | they … | what to do |\n|---|---|---|\n{rows}\n" in page


def test_a_cache_of_a_version_that_did_not_look_is_read(tmp_path: Path):
    manifest = write_cache(dataset(tmp_path, [BOX], coco_rle(DOT & False), [BOX, BOX]), tmp_path / "cache", SMALL)
    content = {key: value for key, value in asdict(manifest).items() if key != "audit"}
    assert Manifest.from_json(signed(content, manifest.fingerprint.schema_version)).audit is None
    older = tmp_path / "older.h5"
    shutil.copy(tmp_path / "cache" / "annotations.h5", older)
    with h5py.File(older, "a") as file:
        del file["ref_objects"]
        assert Table.load(file).ref_objects.tolist() == [-1, -1, -1]
