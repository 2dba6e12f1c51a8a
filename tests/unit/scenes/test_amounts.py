"""Data sets of drawn scenes made to measure: exact counts, pictures wider than high, files as heavy as photographs."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.errors import DataError
from cmirnet_cli.scenes import PHOTOGRAPH_GRAIN, Amount, write_scenes


def refs_of(root: Path) -> list[dict]:
    return pickle.loads((root / "scenes" / "refs(demo).p").read_bytes())


def instances_of(root: Path) -> dict:
    return json.loads((root / "scenes" / "instances.json").read_text())


def test_every_split_holds_exactly_what_was_asked_for(tmp_path: Path):
    asked = {"train": Amount(12, 31, 88), "val": Amount(3, 4, 4), "testA": Amount(2, 6, 18)}
    write_scenes(tmp_path, images=asked, size=64)
    refs = refs_of(tmp_path)
    for split, amount in asked.items():
        mine = [ref for ref in refs if ref["split"] == split]
        assert len({ref["image_id"] for ref in mine}) == amount.images
        assert len(mine) == amount.refs
        assert sum(len(ref["sentences"]) for ref in mine) == amount.sentences


def test_referents_and_sentences_are_spread_evenly(tmp_path: Path):
    write_scenes(tmp_path, images={"train": Amount(10, 24, 65)}, size=64)
    refs = refs_of(tmp_path)
    assert set(Counter(ref["image_id"] for ref in refs).values()) == {2, 3}
    assert {len(ref["sentences"]) for ref in refs} == {2, 3}
    assert all(len({sentence["sent"] for sentence in ref["sentences"]}) == len(ref["sentences"]) for ref in refs)


def test_sentences_of_images_add_up_to_the_amount():
    counts = list(Amount(16994, 42404, 120624).sentences_of_images())
    assert (len(counts), sum(map(len, counts)), sum(map(sum, counts))) == (16994, 42404, 120624)
    assert {len(image) for image in counts} == {2, 3}
    assert list(Amount(2, 3, 5).sentences_of_images()) == [(1,), (2, 2)]


@pytest.mark.parametrize("amount", [(0, 0, 0), (2, 1, 2), (2, 7, 14), (2, 4, 3), (2, 4, 13)])
def test_amounts_that_cannot_be_drawn_are_refused(amount: tuple[int, int, int]):
    with pytest.raises(DataError, match=f"{amount[0]} images cannot be drawn with {amount[1]} referents and {amount[2]} sentences"):
        Amount(*amount)


def test_a_wide_picture_holds_the_square_scene_in_its_middle(tmp_path: Path):
    write_scenes(tmp_path / "square", images={"train": 3}, size=60)
    write_scenes(tmp_path / "wide", images={"train": 3}, size=(100, 60))
    square, wide = instances_of(tmp_path / "square"), instances_of(tmp_path / "wide")
    assert all((image["width"], image["height"]) == (100, 60) for image in wide["images"])
    for one, other in zip(square["annotations"], wide["annotations"], strict=True):
        shift = np.reshape(other["segmentation"], (-1, 2)) - np.reshape(one["segmentation"], (-1, 2))
        np.testing.assert_allclose(shift, np.broadcast_to([20.0, 0.0], shift.shape), atol=1e-9)


def test_the_outlines_of_a_wide_picture_lie_on_what_is_drawn(tmp_path: Path):
    write_scenes(tmp_path, images={"train": 4}, size=(160, 120))
    found = instances_of(tmp_path)
    for image in found["images"]:
        with Image.open(tmp_path / "scenes" / "images" / image["file_name"]) as file:
            assert file.size == (160, 120)
            pixels = np.asarray(file).astype(int)
        for annotation in (each for each in found["annotations"] if each["image_id"] == image["id"]):
            x, y, width, height = annotation["bbox"]
            inside = pixels[round(y + height / 2), round(x + width / 2)]
            assert np.ptp(inside) > 90, "the middle of a shape is a bright colour"
            assert np.ptp(pixels[2, 2]) < 60, "a corner is pale paper"


def test_grain_makes_the_files_heavier_and_changes_nothing_that_is_said(tmp_path: Path):
    for name, grain in (("smooth", 1.2), ("rough", PHOTOGRAPH_GRAIN)):
        write_scenes(tmp_path / name, images={"train": 2}, size=(640, 480), grain=grain)
    weights = {name: [path.stat().st_size for path in (tmp_path / name).rglob("*.jpg")] for name in ("smooth", "rough")}
    assert max(weights["smooth"]) < 60_000
    assert all(120_000 < weight < 200_000 for weight in weights["rough"])
    assert refs_of(tmp_path / "smooth") == refs_of(tmp_path / "rough")


def test_an_amount_draws_the_same_every_time(tmp_path: Path):
    for name in ("first", "again"):
        write_scenes(tmp_path / name, images={"train": Amount(3, 7, 19)}, size=64)
    first, again = ([path.read_bytes() for path in sorted((tmp_path / name).rglob("*")) if path.is_file()] for name in ("first", "again"))
    assert first == again
