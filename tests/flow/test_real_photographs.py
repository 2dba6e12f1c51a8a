"""The whole road on real photographs: prepare, train, evaluate, predict."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco

from cmirnet_cli.engine.devices import has_bf16

PHOTO = "000000000009.jpg"


def test_counts_per_split_are_those_of_the_annotations(photographs):
    splits = json.loads((photographs.parent / "prepared.json").read_text())["splits"]
    assert sum(split["refs"] for split in splits.values()) == 173
    assert sum(split["images"] for split in splits.values()) == 95
    assert sum(split["sentences"] for split in splits.values()) == 344


def test_genuine_refcocog_records_are_prepared_with_a_warning_about_the_published_counts(cmirnet, shared_data, tmp_path):
    home = shared_data / "mini_refcocog_google_val"
    outcome = cmirnet("prepare-data", "refcocog", "--split-by", "google", "--data", home, "--out", tmp_path, "--size", 96)
    assert outcome.code == 0
    assert "4,650" in outcome.out
    assert "[bold" not in outcome.out
    assert "differ from the published" in outcome.err


def test_a_run_directory_says_what_was_run_and_how_it_went(road):
    run = road / "run"
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [record for record in epochs if record["kind"] == "step"]
    assert len(steps) == 132 // 4
    assert [record["step"] for record in steps] == list(range(1, len(steps) + 1))
    with (run / "metrics.csv").open() as table:
        assert [row["epoch"] for row in csv.DictReader(table)] == ["1"]
    assert "backbone: resnet-nano" in (run / "config.yaml").read_text()
    assert json.loads((run / "env.json").read_text())["libraries"]["torch"]
    with Image.open(run / "curves.png") as curves:
        assert curves.size[0] > 300


def test_the_loss_falls_within_the_first_epoch(road):
    losses = [json.loads(line)["loss"] for line in (road / "run" / "metrics.jsonl").read_text().splitlines() if '"step"' in line]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])


def test_every_sentence_of_the_split_is_scored_once_under_both_protocols(cmirnet, road, tmp_path):
    outcome = cmirnet("eval", road / "run", "--cache", road / "cache", "--out", tmp_path, "--control", "shuffled-text", "--json")
    assert outcome.code == 0
    scores = outcome.data["splits"]["val"]
    assert scores["paper"]["sentences"] == scores["original"]["sentences"] == 82
    assert scores["paper"]["control"]["shuffled-text"]["sentences"] == 82
    lines = [json.loads(line) for line in (tmp_path / "sentences.jsonl").read_text().splitlines()]
    assert len({line["sent_id"] for line in lines}) == len(lines) == 82
    overall = 100 * sum(line["paper"]["intersection"] for line in lines) / sum(line["paper"]["union"] for line in lines)
    assert overall == pytest.approx(scores["paper"]["overall_iou"])
    assert json.loads((tmp_path / "scores.json").read_text()) == outcome.data


def test_predicted_masks_have_the_size_of_their_photographs_and_agree_with_their_rle(cmirnet, road, coco128, tmp_path):
    folder = coco128 / "images" / "train2017"
    outcome = cmirnet("predict", road / "run", folder / PHOTO, folder / "000000000025.jpg", "-e", "broccoli", "-e", "left one",
                      "--out", tmp_path, "--gallery", "--json")  # fmt: skip
    assert outcome.code == 0
    assert outcome.data["masks"] == 4
    for line in map(json.loads, (tmp_path / "predictions.jsonl").read_text().splitlines()):
        mask = np.asarray(Image.open(tmp_path / line["mask"]))
        assert mask.shape == np.asarray(Image.open(folder / line["image"])).shape[:2]
        assert set(np.unique(mask)) <= {0, 255}
        assert (coco.decode(line["rle"]) == (mask == 255)).all()
        assert line["area"] == (mask == 255).sum()
        assert (tmp_path / "overlays" / line["mask"].removeprefix("masks/")).is_file()
    assert "broccoli" in (tmp_path / "gallery.html").read_text()


def test_a_broken_photo_is_reported_and_the_rest_goes_on(cmirnet, road, coco128, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    whole = (coco128 / "images" / "train2017" / PHOTO).read_bytes()
    (photos / "a.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "b.jpg").write_bytes(whole)
    outcome = cmirnet("predict", road / "run", photos, "-e", "broccoli", "--out", tmp_path / "out", "--json")
    assert outcome.code == 3
    assert outcome.data["masks"] == 1
    assert "a.jpg" in outcome.data["problems"][0]["image"]


def test_predictions_are_not_overwritten_unasked(cmirnet, road, coco128, tmp_path):
    words = ["predict", road / "run", coco128 / "images" / "train2017" / PHOTO, "-e", "broccoli", "--out", tmp_path]
    assert cmirnet(*words).code == 0
    refused = cmirnet(*words)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert cmirnet(*words, "--overwrite").code == 0


def test_masks_mirror_the_folders_of_the_input(cmirnet, road, coco128, tmp_path):
    nested = tmp_path / "in" / "kitchen"
    nested.mkdir(parents=True)
    (nested / PHOTO).write_bytes((coco128 / "images" / "train2017" / PHOTO).read_bytes())
    assert cmirnet("predict", road / "run", tmp_path / "in", "--recursive", "-e", "the red cup", "--out", tmp_path / "out").code == 0
    assert (tmp_path / "out" / "masks" / "kitchen" / "000000000009.jpg.the-red-cup.png").is_file()


def test_a_finished_run_is_not_trained_over(cmirnet, road):
    outcome = cmirnet("train", "--preset", "smoke", "--cache", road / "cache", "--run-dir", road / "run")
    assert outcome.code == 2
    assert "--run-dir" in outcome.err


def test_a_dry_run_takes_one_step_and_leaves_nothing(cmirnet, road, tmp_path):
    outcome = cmirnet("train", "--preset", "smoke", "--cache", road / "cache", "--run-dir", tmp_path / "run", "--dry-run", "--json")
    assert outcome.code == 0
    assert outcome.data["loss"] > 0
    assert not (tmp_path / "run").exists()


def test_bf16_trains_on_the_cpu_with_a_warning_where_it_has_no_instructions_for_it(cmirnet, road, tmp_path):
    words = ["--preset", "smoke", "--cache", road / "cache", "--set", "loop.precision=bf16", "--device", "cpu"]
    outcome = cmirnet("train", *words, "--dry-run", "--json")
    assert outcome.code == 0
    assert 0 < outcome.data["loss"] < 2
    assert ("no instructions for bf16" in outcome.err) == (not has_bf16(torch.device("cpu")))


def test_fp16_on_the_cpu_is_refused_with_what_to_use_instead(cmirnet, road):
    words = ["--preset", "smoke", "--cache", road / "cache", "--set", "loop.precision=fp16", "--device", "cpu"]
    outcome = cmirnet("train", *words, "--dry-run")
    assert outcome.code == 2
    assert "bf16" in outcome.err


def test_a_cache_without_the_recipes_sizes_is_refused_with_the_command_that_adds_them(cmirnet, road):
    outcome = cmirnet("train", "--preset", "smoke", "--cache", road / "cache", "--set", "data.resize=128", "--dry-run")
    assert outcome.code == 3
    assert "128 px" in outcome.err
    again = f"cmirnet prepare-data refcoco128 --split-by template --size 64 --size 96 --size 128 --out {road / 'cache'} --overwrite"
    assert again in outcome.err
