"""Outlines become the pixels of COCO's own tools and of a hand count; hostile ones are refused; masks are kept as runs along rows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.images.masks import decode_runs, encode_runs, rasterise
from cmirnet_cli.refer.layout import Places, find_layout
from cmirnet_cli.refer.reader import read_dataset


def box(left: int, top: int, right: int, bottom: int) -> list[int]:
    return [left, top, right, top, right, bottom, left, bottom]


def pixels(left: int, top: int, right: int, bottom: int, height: int = 20, width: int = 30) -> Any:
    expected = np.zeros((height, width), dtype=np.uint8)
    expected[top:bottom, left:right] = 1
    return expected


def test_a_box_covers_the_pixels_between_its_corners() -> None:
    mask = rasterise([[box(2, 3, 8, 9)]], 20, 30)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, pixels(2, 3, 8, 9))


def test_pixels_that_two_polygons_of_an_object_share_are_background_on_paper() -> None:
    mask = rasterise([[box(0, 0, 10, 10), box(5, 0, 15, 10)]], 20, 30)
    np.testing.assert_array_equal(mask, pixels(0, 0, 5, 10) | pixels(10, 0, 15, 10))


def test_pixels_that_two_polygons_of_an_object_share_belong_to_their_union() -> None:
    mask = rasterise([[box(0, 0, 10, 10), box(5, 0, 15, 10)]], 20, 30, overlap="union")
    np.testing.assert_array_equal(mask, pixels(0, 0, 15, 10))


def test_pixels_that_three_polygons_share_are_background_too() -> None:
    mask = rasterise([[box(0, 0, 10, 10), box(0, 0, 10, 10), box(0, 0, 12, 10)]], 20, 30)
    np.testing.assert_array_equal(mask, pixels(10, 0, 12, 10))


@pytest.mark.parametrize("overlap", ["paper", "union"])
def test_several_objects_are_united(overlap: Any) -> None:
    mask = rasterise([[box(0, 0, 10, 10)], [box(5, 0, 15, 10)]], 20, 30, overlap)
    np.testing.assert_array_equal(mask, pixels(0, 0, 15, 10))


def test_no_object_is_an_empty_mask() -> None:
    np.testing.assert_array_equal(rasterise([], 20, 30), np.zeros((20, 30)))


def random_mask(seed: int, height: int = 37, width: int = 53) -> Any:
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 6 + 1, width // 6 + 1)) > 0.5
    return np.kron(coarse, np.ones((6, 6), dtype=np.uint8))[:height, :width].astype(np.uint8)


@pytest.mark.parametrize("seed", range(20))
def test_compressed_and_uncompressed_rle_give_the_mask_they_were_made_from(seed: int) -> None:
    mask = random_mask(seed) if seed else np.ones((37, 53), dtype=np.uint8)
    counts = coco.encode(np.asfortranarray(mask))["counts"]
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
    plain = {"size": [37, 53], "counts": np.diff([0, *ends, flat.size]).tolist()}
    for form in ({"size": [37, 53], "counts": counts}, {"size": [37, 53], "counts": counts.decode()}, plain, [plain]):
        np.testing.assert_array_equal(rasterise([form], 37, 53), mask)


def test_a_list_of_rle_is_summed_as_polygons_are() -> None:
    first, second = random_mask(1), random_mask(2)
    forms = [{"size": [37, 53], "counts": coco.encode(np.asfortranarray(mask))["counts"].decode()} for mask in (first, second)]
    np.testing.assert_array_equal(rasterise([forms], 37, 53), first ^ second)
    np.testing.assert_array_equal(rasterise([forms], 37, 53, "union"), first | second)


def test_a_polygon_that_leaves_the_image_is_cut_at_its_border() -> None:
    np.testing.assert_array_equal(rasterise([[box(-50, -50, 5, 5)]], 20, 30), pixels(0, 0, 5, 5))
    assert rasterise([[box(100, 100, 120, 120)]], 20, 30).sum() == 0


LINE = [1, 1, 20, 18]


@pytest.mark.parametrize("parts", [[box(2, 3, 8, 9), LINE], [box(2, 3, 8, 9), LINE, box(10, 10, 20, 18), [5, 5, 28, 6]]])
def test_four_numbers_beside_polygons_are_drawn_as_pycocotools_does(parts: list[list[int]]) -> None:
    drawn = coco.decode(coco.frPyObjects(parts, 20, 30)).sum(axis=2)
    np.testing.assert_array_equal(rasterise([parts], 20, 30), drawn == 1)
    np.testing.assert_array_equal(rasterise([parts], 20, 30, "union"), drawn > 0)
    np.testing.assert_array_equal(rasterise([[LINE, *parts]], 20, 30, "union"), drawn > 0)


@pytest.mark.parametrize(
    "outline",
    [
        pytest.param([], id="empty"),
        pytest.param([[]], id="an empty polygon"),
        pytest.param([[1, 1, 5, 5]], id="four numbers, which pycocotools takes for a box"),
        pytest.param([[1, 1, 5, 1, 5, 5, 1]], id="an odd number of coordinates"),
        pytest.param([1, 1, 5, 1, 5, 5], id="a polygon without its list"),
        pytest.param([[1, 1, 5, "1", 5, 5]], id="text as a coordinate"),
        pytest.param([[1, 1, 5, None, 5, 5]], id="null as a coordinate"),
        pytest.param([[1, 1, float("nan"), 1, 5, 5]], id="NaN"),
        pytest.param([[1, 1, float("inf"), 1, 5, 5]], id="infinity"),
        pytest.param([[1, 1, 1e9, 1e9, 3, 3]], id="a coordinate that would exhaust memory"),
        pytest.param([[1, 1, 10**400, 1, 5, 5]], id="an integer beyond any float"),
        pytest.param([[0, 0, 2_000_000, 0] * 3], id="an outline that would exhaust memory"),
        pytest.param({"size": [30, 20], "counts": [600]}, id="width and height exchanged"),
        pytest.param({"size": [20, 30], "counts": [10, 90]}, id="runs that end too early"),
        pytest.param({"size": [20, 30], "counts": [10, 900]}, id="runs that end too late"),
        pytest.param({"size": [20, 30], "counts": [-10, 610]}, id="a negative run"),
        pytest.param({"size": [20, 30], "counts": [1.5, 598.5]}, id="half pixels"),
        pytest.param({"size": [20, 30], "counts": [True, 599]}, id="a boolean"),
        pytest.param({"size": [20, 30], "counts": 600}, id="a number in place of runs"),
        pytest.param({"size": [20, 30]}, id="no counts"),
        pytest.param({"counts": [600]}, id="no size"),
        pytest.param({"size": [20, 30], "counts": "zzzz"}, id="characters that are no counts"),
        pytest.param({"size": [20, 30], "counts": "é\ud800"}, id="characters that are no ASCII"),
        pytest.param({"size": [20, 30], "counts": "o" * 100}, id="a number without end"),
        pytest.param({"size": [20, 30], "counts": ""}, id="no runs"),
        pytest.param([{"size": [20, 30], "counts": ""}], id="no runs in a list"),
        pytest.param([5], id="a number in place of a polygon"),
    ],
)
def test_malformed_outlines_are_refused(outline: Any) -> None:
    with pytest.raises(AnnotationError) as caught:
        rasterise([outline], 20, 30)
    assert caught.value.hint
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("golden", "folder", "dataset", "split_by"),
    [
        ("mini_refcocog", "mini_refcocog_google_val", "refcocog", "google"),
        ("coco128", "coco128_refer", "refcoco128", "template"),
    ],
)
def test_masks_of_real_referents_are_the_published_ones(
    shared_data: Path, shared_fixtures: Path, golden: str, folder: str, dataset: str, split_by: str
) -> None:
    referents = {
        referent.ref_id: referent for referent in read_dataset(find_layout(dataset, split_by, Places(shared_data / folder))).referents
    }
    samples = json.loads((shared_fixtures / "samples.json").read_text(encoding="utf-8"))[golden]
    for sample in samples:
        referent = referents[sample["ref_id"]]
        mask = rasterise(referent.objects, referent.image.height, referent.image.width)
        resized = np.asarray(Image.fromarray(mask).resize((480, 480), Image.Resampling.NEAREST))
        assert int(resized.sum()) == sample["mask_pixels"]
        assert hashlib.sha256(resized.tobytes()).hexdigest() == sample["mask_sha256"]
        assert [sentence.text for sentence in referent.sentences] == sample["raw"]


@pytest.mark.parametrize(
    ("folder", "dataset", "split_by"),
    [("coco128_refer", "refcoco128", "template"), ("refcocos_val2017", "refcocos", "refcocos")],
)
def test_real_unions_are_those_of_pycocotools(shared_data: Path, folder: str, dataset: str, split_by: str) -> None:
    for referent in read_dataset(find_layout(dataset, split_by, Places(shared_data / folder))).referents:
        height, width = referent.image.height, referent.image.width
        (outline,) = referent.objects or ([],)
        if isinstance(outline, list) and outline and isinstance(outline[0], list):
            runs = coco.frPyObjects(outline, height, width)
        elif isinstance(outline, dict):
            runs = [coco.frPyObjects(outline, height, width)]
        else:
            runs = outline
        expected = coco.decode(coco.merge(runs)) if runs else np.zeros((height, width))
        np.testing.assert_array_equal(rasterise(referent.objects, height, width, "union"), expected)


def lengths(mask: np.ndarray) -> list[int]:
    return np.frombuffer(encode_runs(mask), "<u2").tolist()


def test_runs_go_row_by_row_and_begin_with_zeros():
    mask = np.array([[0, 0, 1], [1, 1, 0], [0, 0, 1]], np.uint8)
    assert lengths(mask) == [2, 3, 3, 1]


def test_a_mask_that_begins_on_the_referent_has_an_empty_first_run():
    assert lengths(np.array([[1, 1], [1, 0]], np.uint8)) == [0, 3, 1]
    assert lengths(np.ones((2, 2), np.uint8)) == [0, 4]


def test_a_run_longer_than_16_bits_is_cut_by_runs_of_no_length():
    assert lengths(np.zeros((480, 480), np.uint8)) == [65535, 0, 65535, 0, 65535, 0, 33795]
    assert lengths(np.ones((300, 300), np.uint8)) == [0, 65535, 0, 24465]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 1.0])
@pytest.mark.parametrize("size", [1, 2, 33, 480])
def test_what_was_encoded_comes_back(size: int, share: float):
    mask = (np.random.default_rng(size).random((size, size)) < share).astype(np.uint8)
    np.testing.assert_array_equal(decode_runs(encode_runs(mask), size), mask)


def test_runs_are_cocos_uncompressed_counts_of_the_mask_on_its_side():
    mask = (np.random.default_rng(0).random((40, 40)) < 0.3).astype(np.uint8)
    rle = coco.frPyObjects({"size": [40, 40], "counts": lengths(mask)}, 40, 40)
    np.testing.assert_array_equal(coco.decode(rle).T, mask)


def test_a_decoded_mask_lies_row_by_row_and_may_be_written_to():
    mask = decode_runs(encode_runs(np.eye(8, dtype=np.uint8)), 8)
    assert (mask.dtype, mask.flags.c_contiguous, mask.flags.writeable) == (np.uint8, True, True)
