"""prepare-data looks at every mask before it writes, says what is odd, and refuses what cannot be right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.cache.reader import Cache
from tests.fixtures.exif import STORED

HEIGHT, WIDTH = 40, 60
BOX = [10, 5, 40, 5, 40, 25, 10, 25]
NORMALISED = [number / (WIDTH, HEIGHT)[place % 2] for place, number in enumerate(BOX)]
SEEN = np.zeros((HEIGHT, WIDTH), bool)
SEEN[5:25, 10:40] = True
"""The pixels of BOX, as people see them."""


@pytest.fixture
def prepare(cmirnet: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    def run(*words: object) -> Any:
        return cmirnet("prepare-data", *words, "--size", 32, "--out", tmp_path / "cache")

    return run


def write_lines(folder: Path, *outlines: dict[str, Any]) -> Path:
    """A JSONL file with one train line for each outline."""
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "1.png")
    lines = [{"image": "1.png", "expression": f"thing {number}", "split": "train"} | each for number, each in enumerate(outlines)]
    (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder / "mine.jsonl"


@pytest.mark.parametrize(
    ("case", "words", "code", "said"),
    [
        ("09-normalised-polygons", ["norm.jsonl"], 3, "give polygons in pixels"),
        ("10-alpha-mask", ["alpha.jsonl"], 0, "have their object in the alpha channel"),
        ("11-mask-background-is-1", ["m010101.jsonl"], 3, "cover the whole picture, because their background is not 0"),
        (
            "07-exif-upright-size-refer",
            ["own", "--split-by", "own", "--annotations", ".", "--images", "images"],
            3,
            "is 160×120, but its annotations were drawn on 120×160; its EXIF orientation, 6, turns it",
        ),
    ],
)
def test_odd_masks_of_users_are_named(prepare, shared_cases: Path, monkeypatch: pytest.MonkeyPatch, case, words, code, said):
    monkeypatch.chdir(shared_cases / case)
    ended = prepare(*words)
    assert (ended.code, said in ended.err) == (code, True), ended.err


def test_an_object_in_the_alpha_channel_is_cached(prepare, shared_cases: Path, tmp_path: Path):
    assert prepare(shared_cases / "10-alpha-mask" / "alpha.jsonl").code == 0
    alpha = np.asarray(Image.open(shared_cases / "10-alpha-mask" / "m" / "alpha.png"))[..., 3]
    cache = Cache.open(tmp_path / "cache" / "alpha-jsonl")
    np.testing.assert_array_equal(cache.mask(0, None), alpha > 0)


def test_own_data_that_exif_turned_is_taken_upright(prepare, shared_cases: Path, tmp_path: Path):
    case = shared_cases / "07-exif-upright-size-refer"
    words = ["own", "--split-by", "own", "--annotations", case, "--images", case / "images"]
    assert "--upright" in prepare(*words).err
    assert prepare(*words, "--upright").code == 0
    cache = Cache.open(tmp_path / "cache" / "own-own")
    assert cache.original_size(0) == (160, 120)
    image, inside = cache.image(0, 32).astype(int), cache.mask(0, 32) > 0
    assert image[inside].mean(axis=0)[0] > 150 > image[inside].mean(axis=0)[1]
    assert inside.any()


def test_a_few_odd_masks_are_a_warning_that_the_cache_keeps(cmirnet, prepare, tmp_path: Path):
    lines = write_lines(tmp_path, {"polygons": [BOX]}, {"polygons": [NORMALISED]}, {"polygons": [[90, 5, 99, 5, 99, 9]]})
    ended = prepare(lines)
    assert ended.code == 0
    assert 'train: 1 of 3 masks are empty or a corner of the picture: no coordinate is above 1: 1.png "thing 1" (line 2)' in ended.err
    assert 'train: 1 of 3 masks lie outside their picture: 1.png "thing 2" (line 3)' in ended.err
    audit = [
        {"split": "train", "kind": "normalised", "count": 1, "masks": 3, "examples": ['1.png "thing 1" (line 2)']},
        {"split": "train", "kind": "outside", "count": 1, "masks": 3, "examples": ['1.png "thing 2" (line 3)']},
    ]
    assert prepare(lines, "--json").data["audit"] == audit
    assert cmirnet("cache", "info", tmp_path / "cache", "--json").data["audit"] == audit
    table = cmirnet("cache", "info", tmp_path / "cache").out
    assert "coordinates from 0 to 1" in table
    assert '1.png "thing 2" (line 3)' in table
    strict = prepare(lines, "--strict")
    assert strict.code == 3
    assert "--strict allows no odd masks" in strict.err


def test_strict_stops_before_anything_is_written_and_lets_sound_masks_pass(prepare, tmp_path: Path):
    assert prepare(write_lines(tmp_path, {"polygons": [BOX]}, {"polygons": [NORMALISED]}), "--strict").code == 3
    assert not (tmp_path / "cache").exists()
    assert prepare(write_lines(tmp_path, {"polygons": [BOX]}, {"polygons": []}), "--strict").code == 0


def test_normalised_outlines_are_found_in_every_format(prepare, tmp_path: Path):
    points = [NORMALISED[place : place + 2] for place in range(0, 8, 2)]
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "1.png")
    image = {"id": 1, "file_name": "1.png", "width": WIDTH, "height": HEIGHT}
    annotation = {"id": 7, "image_id": 1, "category_id": 1, "caption": "it", "segmentation": [NORMALISED]}
    instances = {"images": [image], "annotations": [annotation], "categories": [{"id": 1, "name": "x"}]}
    shapes = [{"label": "it", "shape_type": "polygon", "points": points}]
    labelme = {"imagePath": "1.png", "imageWidth": WIDTH, "imageHeight": HEIGHT, "shapes": shapes}
    corners = ";".join(f"{x},{y}" for x, y in points)
    cvat = (
        f'<annotations><version>1.1</version><image id="0" name="1.png" width="{WIDTH}" height="{HEIGHT}">'
        f'<polygon label="x" points="{corners}"><attribute name="expression">it</attribute></polygon></image></annotations>'
    )
    for name, text, record in [
        ("coco.json", json.dumps(instances), "annotation 7"),
        ("labelme.json", json.dumps(labelme), "labelme.json: shapes[0]"),
        ("cvat.xml", cvat, "polygon 0"),
    ]:
        (tmp_path / name).write_text(text)
        ended = prepare(tmp_path / name)
        assert ended.code == 3
        assert "give polygons in pixels" in ended.err
        assert record in ended.err


def refer_layout(folder: Path, orientation: int, *, size: tuple[int, int], segmentation: list[float]) -> list[object]:
    """A photograph with a white box that a camera turned, and one outline on a picture of `size`; gives the words for prepare-data."""
    pixels = np.repeat(np.ascontiguousarray(STORED[orientation](SEEN))[..., None], 3, axis=2).astype(np.uint8) * 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    (folder / "images").mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / "images" / "1.jpg", exif=exif, quality=95)
    image = {"id": 1, "file_name": "1.jpg", "width": size[0], "height": size[1]}
    annotations = [{"id": 7, "image_id": 1, "category_id": 1, "segmentation": [segmentation]}]
    (folder / "instances.json").write_text(json.dumps({"images": [image], "annotations": annotations, "categories": []}))
    refs = [
        {"ref_id": n, "ann_id": 7, "image_id": 1, "category_id": 1, "split": split, "sentences": [{"sent_id": n, "raw": "it"}]}
        for n, split in enumerate(("train", "val"))
    ]
    (folder / "refs(me).json").write_text(json.dumps(refs))
    return ["mine", "--split-by", "me", "--annotations", folder, "--images", folder / "images"]


def fits(cache: Cache) -> bool:
    """Whether the mask lies on the white box of its picture."""
    white, mask = cache.image(0, 32)[..., 0] > 127, cache.mask(0, 32) > 0
    return bool((white & mask).sum() / (white | mask).sum() > 0.85)


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_turn_that_leaves_the_size_is_a_question(prepare, tmp_path: Path, orientation: int):
    words = refer_layout(tmp_path, orientation, size=(WIDTH, HEIGHT), segmentation=BOX)
    asked = prepare(*words)
    assert asked.code == 3
    assert "train: 1 of 1 masks are on photographs that EXIF turns" in asked.err
    assert "--no-upright" in asked.err
    assert prepare(*words, "--upright").code == 0
    assert fits(Cache.open(tmp_path / "cache" / "mine-me"))
    assert prepare(*words, "--no-upright", "--overwrite").code == 0
    assert not fits(Cache.open(tmp_path / "cache" / "mine-me"))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_turn_that_swaps_the_size_shows_how_the_outline_was_drawn(prepare, tmp_path: Path, orientation: int):
    words = refer_layout(tmp_path, orientation, size=(WIDTH, HEIGHT), segmentation=BOX)
    seen = prepare(*words)
    assert seen.code == 3
    assert f"its EXIF orientation, {orientation}, turns it" in seen.err
    assert prepare(*words, "--upright", "--strict").code == 0
    assert fits(Cache.open(tmp_path / "cache" / "mine-me"))
    lying = np.argwhere(STORED[orientation](SEEN))
    (top, left), (bottom, right) = lying.min(axis=0).tolist(), (lying.max(axis=0) + 1).tolist()
    stored = [left, top, right, top, right, bottom, left, bottom]
    words = refer_layout(tmp_path, orientation, size=(HEIGHT, WIDTH), segmentation=stored)
    assert prepare(*words, "--strict", "--overwrite").code == 0
    assert fits(Cache.open(tmp_path / "cache" / "mine-me"))


def test_published_sets_stay_as_they_are_stored(cmirnet, build, tmp_path: Path):
    folder = build.coco("refcocog", "umd", {"train": [1], "val": [2], "test": [3]})
    exif = Image.Exif()
    exif[0x0112] = 3
    path = folder.photographs / "COCO_train2014_000000000001.jpg"
    Image.open(path).save(path, exif=exif)
    words = ["prepare-data", "refcocog", "--data", build.data, "--out", tmp_path / "cache", "--size", 32]
    ended = cmirnet(*words)
    assert ended.code == 0
    assert "EXIF" not in ended.err
    refused = cmirnet(*words, "--upright")
    assert refused.code == 2
    assert "refcocog was drawn on the photographs as they are stored" in refused.err


def test_upright_says_nothing_about_jsonl(prepare, tmp_path: Path):
    refused = prepare(write_lines(tmp_path, {"polygons": [BOX]}), "--upright")
    assert refused.code == 2
    assert "do not apply to JSONL" in refused.err


def test_sentences_without_target_are_not_empty_masks(grefcoco: Path, cmirnet):
    assert cmirnet("cache", "info", grefcoco / "cache", "--json").data["audit"] == []


def test_a_split_called_test_takes_in_all_test_splits(prepared, build):
    build.coco("refcoco", "unc", {"train": [1], "val": [2], "testA": [3, 4], "testB": [5]})
    cache, _ = prepared("refcoco")
    assert cache.referent_rows("test").tolist() == [*cache.referent_rows("testA"), *cache.referent_rows("testB")]


def broken_refs(build) -> Any:
    """REFER layout in which one ref has no annotation, one an outline that is none, and one is sound."""
    folder = build.coco("cups", "me", {"train": [1, 2, 3], "val": [4]})
    folder.refs[0]["ann_id"] = 999
    folder.annotations[1]["segmentation"] = [[1, 2, 3, 4]]
    folder.write("refs(me).p")
    return folder


def test_faults_of_annotations_obey_skip_bad(cmirnet, build, tmp_path: Path):
    broken_refs(build)
    words = ["prepare-data", "cups", "--split-by", "me", "--data", build.data, "--out", tmp_path / "cache", "--size", 32]
    refused = cmirnet(*words)
    assert refused.code == 3
    assert "ref 0: field 'ann_id'" in refused.err
    ended = cmirnet(*words, "--skip-bad", "--json")
    assert ended.code == 0, ended.err
    assert ended.data["splits"]["train"]["refs"] == 1
    assert [reason.partition("ref 0: ")[2][:14] for reason in ended.data["left_out"]] == ["field 'ann_id'"]
    (finding,) = ended.data["audit"]
    assert (finding["kind"], finding["count"], finding["examples"][0][-7:]) == ("left out", 1, "(ref 1)")
    assert Cache.open(tmp_path / "cache" / "cups-me").splits == ("train", "val")


def test_all_refs_that_cannot_be_read_are_listed_at_once(cmirnet, build):
    folder = build.coco("cups", "me", {"train": list(range(1, 26))})
    for ref in folder.refs:
        ref["ann_id"] = 999
    folder.write("refs(me).p")
    refused = cmirnet("prepare-data", "cups", "--split-by", "me", "--data", build.data)
    assert refused.code == 3
    assert "25 refs cannot be read" in refused.err
    assert refused.err.count("'ann_id'") == 20
    assert "and 5 more" in refused.err
    assert "--skip-bad leaves such records out" in refused.err
    nothing = cmirnet("prepare-data", "cups", "--split-by", "me", "--data", build.data, "--skip-bad")
    assert nothing.code == 3
    assert "25 refs cannot be read" in nothing.err


def test_lines_that_cannot_be_read_are_left_out_on_request(prepare, tmp_path: Path):
    lines = write_lines(tmp_path, {"polygons": [BOX]}, {"polygons": [[1, 2, 3, 4]]}, {"mask": "none.png"})
    assert prepare(lines).code == 3
    ended = prepare(lines, "--skip-bad", "--json")
    assert ended.code == 0
    assert [reason.partition("mine.jsonl: ")[2][:6] for reason in ended.data["left_out"]] == ["line 2", "line 3"]
