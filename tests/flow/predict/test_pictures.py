"""`cmirnet predict` on what people have: folders of every kind, links, pictures of 16 bits, enormous ones, foreign expressions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.images import formats
from tests.flow.predict.conftest import lines

Call = Callable[..., Any]
CPU = ("--device", "cpu")


def noise(path: Path, size: tuple[int, int] = (40, 30), **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(len(path.name)).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(path, **options)
    return path


@pytest.fixture
def predicted(cmirnet: Call, weights: Path, tmp_path: Path) -> Call:
    """Predicts on inputs; the outcome."""

    def predict(*inputs: object, expression: str = "the red cup") -> Any:
        words = ["-e", expression, "-o", tmp_path / "out", "--overwrite", "--json", *CPU]
        return cmirnet("predict", weights, *inputs, *words)

    return predict


def test_what_is_left_out_of_a_folder_is_said_in_one_notice(predicted: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "_registers_heic", lambda: False)
    noise(tmp_path / "in" / "plain.jpg")
    for name in ("IMG_0001.HEIC", "IMG_0002.heic", "raw.NEF", "._plain.jpg"):
        (tmp_path / "in" / name).write_bytes(b"\0\0\0\x18ftypheic")
    outcome = predicted(tmp_path / "in")
    assert outcome.code == 0
    assert "2 HEIC, 1 camera raw and 1 macOS side file left out (pip install 'cmirnet[heic]' reads HEIC" in outcome.err
    assert outcome.data["left_out"] == {"HEIC": 2, "camera raw": 1, "macOS side": 1}
    assert outcome.data["masks"] == 1


def test_pictures_of_phones_are_found_and_read(predicted: Call, tmp_path: Path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra [heic] is not installed")
    pillow_heif.from_pillow(Image.open(noise(tmp_path / "a.png"))).save(tmp_path / "in.HEIC")
    (tmp_path / "in").mkdir()
    (tmp_path / "in.HEIC").rename(tmp_path / "in" / "IMG_1.HEIC")
    kinds = ["IMG_1.HEIC", *(name for name in ("b.avif", "c.jp2") if formats.is_read(formats.kind_of(Path(name)) or ""))]
    for name in kinds[1:]:
        noise(tmp_path / "in" / name)
    outcome = predicted(tmp_path / "in")
    assert (outcome.code, outcome.data["left_out"]) == (0, {})
    assert sorted(line["image"] for line in lines(tmp_path / "out")) == sorted(kinds)
    assert {tuple(line["size"]) for line in lines(tmp_path / "out")} == {(30, 40)}


def test_links_and_loops_give_each_photo_once(predicted: Call, tmp_path: Path):
    noise(tmp_path / "top" / "a.jpg")
    noise(tmp_path / "real" / "r.jpg")
    (tmp_path / "top" / "link").symlink_to("../real")
    (tmp_path / "top" / "loop").symlink_to(".")
    (tmp_path / "top" / "again").symlink_to(".")
    for words in ([tmp_path / "top", "-r"], [f"{tmp_path}/top/**/*.jpg"]):
        outcome = predicted(*words)
        assert (outcome.code, outcome.data["masks"]) == (0, 2), words
        assert sorted(line["image"] for line in lines(tmp_path / "out")) == ["a.jpg", "link/r.jpg"]


def test_pictures_of_16_bits_that_use_fewer_are_scaled_with_a_notice(predicted: Call, tmp_path: Path):
    eight = np.random.default_rng(3).integers(0, 256, (30, 40)).astype(np.uint16)
    eight.flat[:2] = 0, 255
    for bits in (10, 12):
        Image.fromarray(eight * ((2**bits - 1) // 255)).save(tmp_path / f"{bits}.png")
    Image.fromarray(eight.astype(np.uint8)).save(tmp_path / "8.png")
    outcome = predicted(*(tmp_path / f"{bits}.png" for bits in (8, 10, 12)))
    assert outcome.code == 0
    assert (
        f"2 images of 16 bits scaled by their own range, as they use fewer: {tmp_path / '10.png'} from 0 to 1020; --no-range" in outcome.err
    )
    assert [each["high"] for each in outcome.data["scaled"]] == [1020, 4080]
    assert len({line["rle"]["counts"] for line in lines(tmp_path / "out")}) == 1, "the three are one picture"
    outcome = predicted(tmp_path / "12.png", "--no-range")
    assert outcome.data["scaled"] == []
    assert "16 bits" not in outcome.err


@pytest.mark.parametrize(("name", "size"), [("wide.png", (600, 20)), ("square.jpg", (110, 110))])
def test_a_picture_beyond_the_limit_is_named_with_its_size_and_the_rest_goes_on(
    predicted: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: tuple[int, int]
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back afterwards
    noise(tmp_path / "in" / name, size)
    noise(tmp_path / "in" / "small.png")
    pixels = size[0] * size[1]
    outcome = predicted(tmp_path / "in", "--max-pixels", pixels - 1)
    assert outcome.code == 3
    assert outcome.data["masks"] == 1
    (problem,) = outcome.data["problems"]
    assert problem["image"] == str(tmp_path / "in" / name)
    assert f"it has {size[0]} × {size[1]} pixels, and the limit is {pixels - 1:,}" in problem["problem"]
    assert "--max-pixels" in problem["hint"]
    assert f"{problem['problem']}; {problem['hint']}" in outcome.err
    assert predicted(tmp_path / "in", "--max-pixels", pixels).data["masks"] == 2


@pytest.mark.parametrize("expression", ["🍎", "красная чашка", "赤いカップ", "...", "zebra"])
def test_an_expression_of_unknown_words_is_named(predicted: Call, tmp_path: Path, expression: str):
    outcome = predicted(noise(tmp_path / "a.png"), "-e", "left zebra", expression=expression)
    assert outcome.code == 0
    assert f"1 of 2 expressions has no word that the tokenizer knows, so its mask means nothing: {expression}" in outcome.err
    assert outcome.data["unknown"] == [expression]
    assert {line["expression"]: line["known"] for line in lines(tmp_path / "out")} == {"left zebra": True, expression: False}


def test_a_mask_with_a_low_score_is_emptied_and_keeps_its_score(predicted: Call, tmp_path: Path):
    photo = noise(tmp_path / "a.png")
    predicted(photo, "--coco", tmp_path / "coco.json")
    (found,) = lines(tmp_path / "out")
    assert 0 < found["score"] < 1
    assert found["area"] > 0
    for least, kept in ((found["score"] - 0.01, True), (found["score"] + 0.01, False)):
        outcome = predicted(photo, "--min-score", least, "--coco", tmp_path / "coco.json")
        assert outcome.data["empty"] == int(not kept)
        (line,) = lines(tmp_path / "out")
        assert line["score"] == found["score"]
        assert line["area"] == (found["area"] if kept else 0)
        assert bool(np.asarray(Image.open(tmp_path / "out" / line["mask"])).any()) == kept
        assert len(json.loads((tmp_path / "coco.json").read_text())["annotations"]) == int(kept)


@pytest.mark.parametrize("form", [(), ("--format", "parquet")])
def test_empty_masks_are_counted_those_of_an_earlier_run_too(
    predicted: Call, cmirnet: Call, weights: Path, tmp_path: Path, form: tuple[str, ...]
):
    photos = [noise(tmp_path / f"{'a' * length}.png") for length in range(1, 5)]
    predicted(*photos)
    scores = sorted(line["score"] for line in lines(tmp_path / "out"))
    least = (scores[0] + scores[1]) / 2
    words = ["predict", weights, *photos, "-e", "the red cup", *CPU, *form, "-q"]
    some = [cmirnet(*words, "-o", tmp_path / "some", "--min-score", least, *more) for more in ((), ("--skip-existing", "--json"))]
    assert some[0].out.startswith("4 masks of 4 images in ")
    assert some[0].out.endswith(", 1 of them empty\n")
    assert (some[1].data["empty"], some[1].data["skipped"]) == (1, 4)
    none = cmirnet(*words, "-o", tmp_path / "none", "--min-score", 1)
    assert ", all of them empty: the weights may need more training" in none.out
    assert (none.code, none.err) == (0, "")


@pytest.mark.parametrize(("option", "value"), [("--min-score", 0.5), ("--no-range", None)])
def test_a_run_goes_on_only_with_the_same_rule(predicted: Call, cmirnet: Call, weights: Path, tmp_path: Path, option: str, value: object):
    photo = noise(tmp_path / "a.png")
    assert predicted(photo).code == 0
    words = [option, *([value] if value else [])]
    outcome = cmirnet("predict", weights, photo, "-e", "the red cup", "-o", tmp_path / "out", "--skip-existing", *words, *CPU)
    assert outcome.code == 2
    assert "made with other settings" in outcome.err


def test_the_shared_cases_are_right(predicted: Call, shared_cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "_registers_heic", lambda: False)  # the case's file has nothing of HEIC but the name
    outcome = predicted(shared_cases / "17-appledouble" / "in")
    assert (outcome.code, outcome.data["masks"]) == (0, 1)
    outcome = predicted(shared_cases / "16-heic-skipped" / "in")
    avif = formats.is_read("AVIF")
    assert (outcome.code, outcome.data["masks"]) == (0, 2 if avif else 1)
    assert outcome.data["left_out"] == ({"HEIC": 1} if avif else {"HEIC": 1, "AVIF": 1})
    (tmp_path / "case").mkdir()
    for name in ("top", "real"):
        (tmp_path / "case" / name).symlink_to(shared_cases / "18-symlinked-folder" / name)
    assert predicted(tmp_path / "case", "-r").data["masks"] == 2
