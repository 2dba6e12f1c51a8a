"""`cmirnet predict`: what can be asked, what is written, and how a run that was broken off goes on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from tests.flow.predict.conftest import files, lines

Call = Callable[..., Any]
CPU = ("--device", "cpu")


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def put(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return put


def test_a_tree_is_predicted_whole_and_the_broken_file_is_named(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    outcome = cmirnet("predict", weights, photos, "-r", "-e", "the red cup", "-e", "Left person!", "-o", tmp_path / "out", "--json", *CPU)
    assert outcome.code == 3
    assert (outcome.data["images"], outcome.data["masks"]) == (8, 14)
    assert [problem["image"] for problem in outcome.data["problems"]] == [str(photos / "3broken.jpg")]
    assert "3broken.jpg" in outcome.err
    written = lines(tmp_path / "out")
    assert [line["image"] for line in written[::2]] == [
        "0.jpg",
        "2.webp",
        "4.bmp",
        "6.png",
        "kitchen/1.png",
        "kitchen/3.tiff",
        "kitchen/5.gif",
    ]
    for line in written:
        with Image.open(tmp_path / "out" / line["mask"]) as picture, Image.open(photos / line["image"]) as photo:
            mask = np.asarray(picture)
            assert mask.shape == tuple(line["size"]) == photo.size[::-1]
        assert set(np.unique(mask)) <= {0, 255}
        assert np.array_equal(coco.decode(line["rle"]) * 255, mask)
        assert line["area"] == np.count_nonzero(mask)
    assert (tmp_path / "out" / "masks" / "kitchen" / "1.png.the-red-cup.png").is_file()
    assert any(0 < line["area"] < np.prod(line["size"]) for line in written)


def test_photos_that_go_through_together_have_the_masks_of_photos_one_by_one(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    for count in (1, 3):
        words = ["-r", "-e", "the red cup", "-e", "left person", "-o", tmp_path / str(count), "--batch-size", count, *CPU]
        assert cmirnet("predict", weights, photos, *words).code == 3
    together, alone = lines(tmp_path / "3"), lines(tmp_path / "1")
    assert [(line["mask"], line["size"]) for line in together] == [(line["mask"], line["size"]) for line in alone]
    for ours, theirs in zip(together, alone, strict=True):
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-4)
        assert (coco.decode(ours["rle"]) != coco.decode(theirs["rle"])).mean() < 0.001


def test_photos_that_go_through_together_are_continued_byte_for_byte(again: Call, tmp_path: Path):
    assert again("--batch-size", 3).code == 3
    whole = files(tmp_path / "out")
    kept = whole["predictions.jsonl"].splitlines(keepends=True)[:4]
    (tmp_path / "out" / "predictions.jsonl").unlink()
    (tmp_path / "out" / "predictions-00000-of-00001.jsonl").write_bytes(b"".join(kept))
    assert again("--batch-size", 3, "--skip-existing").data["skipped"] == 2
    assert files(tmp_path / "out") == whole


def test_the_first_bad_image_stops_it_on_request(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    outcome = cmirnet("predict", weights, photos, "-e", "cup", "-o", tmp_path, "--fail-fast", *CPU)
    assert outcome.code == 3
    assert "error: " in outcome.err
    assert "3broken.jpg" in outcome.err
    assert not (tmp_path / "predictions.jsonl").exists()


def test_pairs_lines_and_standard_input_ask_the_same(
    cmirnet: Call, weights: Path, photos: Path, tmp_path: Path, standard_input: Callable[[str], None]
):
    asked = ["the red cup", 'a "cup", red', "🍎"]
    images = [photos / "0.jpg", photos / "2.webp"]
    (tmp_path / "said.txt").write_text("\n".join(asked), encoding="utf-8")
    with (tmp_path / "pairs.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("image", "expression"), *((image, text) for text in asked for image in images)])
    standard_input("\n".join(map(str, images)))
    ways = [
        [*images, *(word for text in asked for word in ("-e", text))],
        [*images, "--expressions", tmp_path / "said.txt"],
        ["--pairs", tmp_path / "pairs.csv"],
        ["-", "--expressions", tmp_path / "said.txt"],
    ]
    for number, words in enumerate(ways):
        assert cmirnet("predict", weights, *words, "-o", tmp_path / str(number), *CPU).code == 0
    assert files(tmp_path / "0") == files(tmp_path / "1") == files(tmp_path / "2") == files(tmp_path / "3")
    assert len(lines(tmp_path / "0")) == 6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["PHOTO"], "there is no expression"),
        (["-e", "cup"], "there is no image"),
        (["-", "--expressions", "-"], "read once only"),
        (["PHOTO", "-e", " "], "an expression is empty"),
        (["PHOTO", "-e", "cup", "--threshold", "1.5"], "--threshold"),
        (["PHOTO", "-e", "cup", "--overwrite", "--skip-existing"], "give one of them"),
        (["--pairs", "PHOTO", "-e", "cup"], "need an INPUT"),
    ],
)
def test_a_command_line_that_leaves_something_open_is_refused(
    cmirnet: Call, weights: Path, photos: Path, tmp_path: Path, words: list[str], told: str
):
    typed = [str(photos / "0.jpg") if word == "PHOTO" else word for word in words]
    outcome = cmirnet("predict", weights, *typed, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert told in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_rights_or_a_coco_file_in_the_way_is_found_before_the_first_image(
    cmirnet: Call, weights: Path, photos: Path, tmp_path: Path
):
    (tmp_path / "file").write_text("x")
    outcome = cmirnet("predict", weights, photos / "0.jpg", "-e", "cup", "-o", tmp_path / "file" / "out", *CPU)
    assert outcome.code == 1
    assert "cannot write" in outcome.err
    outcome = cmirnet("predict", weights, photos / "0.jpg", "-e", "cup", "-o", tmp_path / "out", "--coco", tmp_path / "file", *CPU)
    assert outcome.code == 2
    assert not (tmp_path / "out").exists()


def test_five_hundred_words_are_cut_with_a_notice(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    outcome = cmirnet("predict", weights, photos / "0.jpg", "-e", "the red cup " * 167, "-e", "cup", "-o", tmp_path, *CPU)
    assert outcome.code == 0
    assert "1 of 2 expressions was cut at 20 tokens, as the network reads no more: the red cup the red cup" in outcome.err


def test_a_thousand_expressions_about_one_image_have_a_thousand_masks(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    (tmp_path / "said.txt").write_text("\n".join(f"cup number {number}" for number in range(1000)))
    outcome = cmirnet("predict", weights, photos / "0.jpg", "--expressions", tmp_path / "said.txt", "-o", tmp_path / "out", "--json", *CPU)
    assert outcome.data["masks"] == len(lines(tmp_path / "out")) == len(list((tmp_path / "out" / "masks").iterdir())) == 1000


def test_every_output_that_was_asked_for_is_there(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    extra = ["--overlay", "--cutout", "--soft", "--gallery", "--coco", tmp_path / "coco.json", "--largest-component", "--threshold", "0.4"]
    outcome = cmirnet("predict", weights, photos / "0.jpg", "-e", "the red cup", "-o", tmp_path / "out", *extra, "--json", *CPU)
    assert outcome.code == 0
    name = "0.jpg.the-red-cup.png"
    wanted = {f"{kind}/{name}" for kind in ("masks", "overlays", "cutouts", "probabilities")}
    assert set(files(tmp_path / "out")) == wanted | {"gallery.html", "predictions.jsonl", "settings.json"}
    assert outcome.data["gallery"] == str(tmp_path / "out" / "gallery.html")
    annotations = json.loads((tmp_path / "coco.json").read_text())["annotations"]
    assert [annotation["segmentation"] for annotation in annotations] == [line["rle"] for line in lines(tmp_path / "out")]


def test_a_threshold_cuts_the_probability_picture(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    for threshold in ("0.3", "0.5", "0.6"):
        out = tmp_path / threshold
        assert cmirnet("predict", weights, photos / "0.jpg", "-e", "cup", "-o", out, "--soft", "--threshold", threshold, *CPU).code == 0
        soft = np.asarray(Image.open(out / "probabilities" / "0.jpg.cup.png")) / 255
        mask = np.asarray(Image.open(out / "masks" / "0.jpg.cup.png")) > 0
        sure = np.abs(soft - float(threshold)) > 1 / 255
        assert np.array_equal(mask[sure], (soft > float(threshold))[sure])


def test_photos_of_one_name_in_two_folders_both_have_their_masks(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "cup.jpg").write_bytes((photos / "0.jpg").read_bytes())
    (tmp_path / "y" / "cup.png").write_bytes((photos / "kitchen" / "1.png").read_bytes())
    outcome = cmirnet("predict", weights, tmp_path / "x", tmp_path / "y", "-e", "cup", "-o", tmp_path / "out", "--json", *CPU)
    assert outcome.data["masks"] == len({line["mask"] for line in lines(tmp_path / "out")}) == 3


def test_a_file_name_that_is_no_unicode_text_is_no_obstacle(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    try:
        (tmp_path / "in" / "caf\udce9.jpg").write_bytes((photos / "0.jpg").read_bytes())
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    (tmp_path / "in" / "bad\udce9.jpg").write_bytes(b"words")
    outcome = cmirnet("predict", weights, tmp_path / "in", "-e", "cup", "-o", tmp_path / "out", "--gallery", "--json", *CPU)
    assert (outcome.code, outcome.data["masks"]) == (3, 1)
    assert lines(tmp_path / "out")[0]["image"] == "caf\udce9.jpg"


@pytest.fixture(scope="module")
def undisturbed(weights: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """All files of a run that nobody disturbed."""
    from cmirnet_cli.app import run

    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert run(["predict", str(weights), str(photos), "-r", "-e", "cup", "-e", "left person", "--overlay", "-o", str(out), *CPU, "-q"]) == 3
    return files(out)


@pytest.fixture
def again(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path) -> Callable[..., Any]:
    words = ["predict", weights, photos, "-r", "-e", "cup", "-e", "left person", "--overlay", "-o", tmp_path / "out", *CPU, "--json"]
    return lambda *more: cmirnet(*words, *more)


def test_continuing_a_finished_run_changes_nothing(again: Call, undisturbed: dict[str, bytes], tmp_path: Path):
    assert again().code == 3
    outcome = again("--skip-existing")
    assert (outcome.code, outcome.data["skipped"], outcome.data["masks"]) == (3, 7, 14)
    assert files(tmp_path / "out") == undisturbed
    assert again().code == 2
    assert again("--overwrite").data["skipped"] == 0
    assert files(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("kept", [0, 1, 4, 5, 13])
def test_a_run_killed_anywhere_ends_with_the_same_files(again: Call, undisturbed: dict[str, bytes], tmp_path: Path, kept: int):
    """As after a kill: a part with `kept` lines and half of the next one, no index, a picture missing, a leftover."""
    out = tmp_path / "out"
    again()
    whole = (out / "predictions.jsonl").read_bytes().splitlines(keepends=True)
    (out / "predictions.jsonl").unlink()
    (out / "predictions-00000-of-00001.jsonl").write_bytes(b"".join(whole[:kept]) + whole[kept][:70])
    for line in whole[kept + 1 :]:
        (out / json.loads(line)["mask"]).unlink()
    (out / "masks" / ".cmirnet-0123456789abcdef.tmp").write_bytes(b"half a picture")
    outcome = again("--skip-existing")
    assert (outcome.code, outcome.data["skipped"]) == (3, kept // 2)
    assert files(out) == undisturbed


def test_a_broken_off_run_is_not_taken_for_a_free_folder(again: Call, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions-00000-of-00001.jsonl").write_text("")
    outcome = again()
    assert outcome.code == 2
    assert "--skip-existing" in outcome.data["error"]["hint"]


def test_a_run_with_another_threshold_is_not_continued(again: Call, tmp_path: Path):
    again()
    outcome = again("--skip-existing", "--threshold", "0.7")
    assert outcome.code == 2
    assert "threshold was 0.5, now 0.7" in outcome.data["error"]["message"]


def test_pictures_that_are_wanted_afterwards_are_added(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    words = ["predict", weights, photos / "0.jpg", "-e", "cup", "-o", tmp_path, *CPU]
    assert cmirnet(*words).code == 0
    before = files(tmp_path)
    assert cmirnet(*words, "--skip-existing", "--cutout").code == 0
    after = files(tmp_path)
    assert after.pop("cutouts/0.jpg.cup.png")
    assert after == before


def test_results_inside_the_input_are_not_taken_for_photos(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes((photos / "0.jpg").read_bytes())
    words = ["predict", weights, tmp_path, "-r", "-e", "cup", "-o", tmp_path / "predictions", "--json", *CPU]
    assert cmirnet(*words).data["images"] == 1
    assert cmirnet(*words, "--skip-existing").data["images"] == 1


def test_a_photo_that_broke_since_the_last_run_is_reported_and_left_out(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    for name in ("0.jpg", "2.webp"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes((photos / name).read_bytes())
    words = ["predict", weights, tmp_path / "in", "-e", "cup", "-o", tmp_path / "out", "--json", *CPU]
    assert cmirnet(*words).code == 0
    (tmp_path / "in" / "0.jpg").write_bytes(b"broken")
    outcome = cmirnet(*words, "--skip-existing", "--gallery", "--coco", tmp_path / "coco.json")
    assert (outcome.code, outcome.data["images"], outcome.data["masks"]) == (3, 2, 1)
    assert [problem["image"] for problem in outcome.data["problems"]] == [str(tmp_path / "in" / "0.jpg")]
    assert [image["file_name"] for image in json.loads((tmp_path / "coco.json").read_text())["images"]] == ["2.webp"]
    assert {line["image"] for line in lines(tmp_path / "out")} == {"0.jpg", "2.webp"}


def test_what_an_earlier_run_wrote_is_gone_when_it_is_replaced(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    words = ["predict", weights, photos / "0.jpg", "-o", tmp_path, *CPU]
    assert cmirnet(*words, "-e", "cup", "--gallery", "--cutout", "--soft").code == 0
    (tmp_path / "masks" / "own.png").write_bytes(b"mine")
    with (tmp_path / "predictions.jsonl").open("a") as index:
        index.write("damaged\n")
    assert cmirnet(*words, "-e", "left person", "--overwrite").code == 0
    assert set(files(tmp_path)) == {"masks/0.jpg.left-person.png", "masks/own.png", "predictions.jsonl", "settings.json"}


@pytest.mark.parametrize("more", [[], ["--skip-existing"]])
@pytest.mark.parametrize("name", ["settings.json", "gallery.html", "coco.json"])
def test_files_that_are_not_the_runs_own_stay(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path, name: str, more: list[str]):
    (tmp_path / name).write_text('{"mine": 1}')
    words = ["predict", weights, photos / "0.jpg", "-e", "cup", "-o", tmp_path, "--gallery", "--coco", tmp_path / "coco.json", *CPU]
    assert cmirnet(*words, *more).code == 2
    assert files(tmp_path) == {name: b'{"mine": 1}'}
    assert cmirnet(*words, "--overwrite").code == 0
    assert (tmp_path / name).read_text() != '{"mine": 1}'


def test_a_continued_run_replaces_the_coco_file_that_it_wrote(cmirnet: Call, weights: Path, photos: Path, tmp_path: Path):
    words = ["predict", weights, photos / "0.jpg", "-o", tmp_path / "out", "--coco", tmp_path / "coco.json", *CPU]
    assert cmirnet(*words, "-e", "cup").code == 0
    assert cmirnet(*words, "-e", "cup", "-e", "left person", "--skip-existing").code == 0
    assert len(json.loads((tmp_path / "coco.json").read_text())["categories"]) == 2


@pytest.mark.parametrize("damage", [None, "", "[1", "7"])
def test_settings_that_cannot_be_read_are_named(again: Call, tmp_path: Path, damage: str | None):
    again()
    settings = tmp_path / "out" / "settings.json"
    settings.unlink() if damage is None else settings.write_text(damage)
    outcome = again("--skip-existing")
    assert outcome.code == 3
    assert str(settings) in outcome.data["error"]["message"]
    assert again("--overwrite").code == 3  # the broken photo alone
