"""`cmirnet eval` end to end on a data set with sentences that refer to nothing: its tables, its files, its comparisons."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from cmirnet_cli.app import run
from cmirnet_cli.commands.evaluate import ControlName
from cmirnet_cli.metrics.sentences import CONTROLS

SPLITS = ("train", "val", "testA", "testB")
PAGE = Path(__file__).resolve().parents[3] / "docs" / "evaluation.md"


@pytest.fixture(scope="module")
def first(grefcoco: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What scoring every split wrote, with masks."""
    out = tmp_path_factory.mktemp("scored") / "first"
    words = ["eval", str(weights), "--cache", str(grefcoco / "cache"), "--device", "cpu", "--split", "all", "--save-masks"]
    assert run([*words, "--out", str(out)]) == 0
    return out


@pytest.fixture
def scored(cmirnet: Callable[..., Any], grefcoco: Path, weights: Path) -> Callable[..., Any]:
    """Scores the same weights on drawn gRefCOCO with other options."""
    return lambda *options, cache=grefcoco / "cache": cmirnet("eval", weights, "--cache", cache, "--device", "cpu", *options)


def written(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "scores.json").read_text())


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "sentences.jsonl").read_text().splitlines()]


def test_one_table_holds_a_row_for_each_split_and_protocol(scored):
    rows = [line.split() for line in scored("--split", "all").out.splitlines()]
    labels = [row[:2] for row in rows if row and row[0] in SPLITS]
    assert labels[:8] == [[split, protocol] for split in SPLITS for protocol in ("paper", "original")]
    assert [row[-1] for row in rows if row and row[0] in SPLITS][:8] == ["4"] * 8


def test_scores_say_what_they_are_scores_of(first):
    said = written(first)
    assert said["settings"].items() >= {"image_size": 64, "tokens": 20, "batch_size": 8, "device": "cpu", "precision": "fp32"}.items()
    assert len(said["weights"]["sha256"]) == len(said["data"]["fingerprint"]) == 64
    assert said["libraries"]["torch"]
    assert set(said["splits"]) == set(SPLITS)


def test_the_page_names_every_field_of_the_files(scored, first, tmp_path):
    shutil.copytree(first, tmp_path / "worse")
    theirs = tmp_path / "worse" / "sentences.jsonl"
    theirs.write_text(re.sub(r'"intersection": \d+', '"intersection": 0', theirs.read_text()))
    options = ("--control", "no-image", "--compare", tmp_path / "worse", "--split", "val", "--out", tmp_path / "more")
    assert scored(*options).code == 0
    said, (line, *_) = written(tmp_path / "more"), lines(first)
    found, file = said["splits"]["val"]["original"], json.loads((tmp_path / "more" / "comparison.json").read_text())
    compared, control = file["comparison"]["splits"]["val"]["original"], found["control"]["no-image"]
    described = (*said, *said["weights"], *said["data"], *said["settings"], *said["intervals"])
    scores = (*found, *found["generalised"], *control, *control["difference"]["mean_iou"])
    comparison = (*file, *file["comparison"], *compared, *compared["sentences"], *compared["improved"][0])
    page = set(re.findall(r"`([^`]+)`", PAGE.read_text(encoding="utf-8").partition("\n## The files\n")[2]))
    assert {*described, *scores, *comparison, *line, *line["original"]} - page == set()


def test_kept_masks_and_written_facts_agree_with_the_scores(first):
    said, sentences = written(first)["splits"]["val"]["original"], lines(first)
    mine = [line for line in sentences if line["split"] == "val"]
    masks = [coco.decode(line["rle"]) for line in mine]
    assert [mask.shape for mask in masks] == [(40, 60)] * 4
    assert [int(mask.sum()) for mask in masks] == [line["original"]["predicted"] for line in mine]
    assert [line["area"] for line in mine] == [700, 400, 400, 0]
    right = [mask.sum() < 50 if line["area"] == 0 else line["original"]["iou"] for line, mask in zip(mine, masks, strict=True)]
    assert all(mask.sum() >= 50 for mask, line in zip(masks, mine, strict=True) if line["area"])
    assert said["generalised"]["gIoU"] == pytest.approx(100 * np.mean(right))


def test_the_rule_for_nothing_there_is_a_setting(scored):
    rules = [scored("--split", "val", "--empty-below", pixels, "--json").data["splits"]["val"]["original"] for pixels in (1, 2400)]
    assert [found["generalised"]["T-acc"] for found in rules] == [100, 0]
    assert [found["generalised"]["N-acc"] for found in rules] == [0, 100]
    assert rules[0]["overall_iou"] == rules[1]["overall_iou"]


def test_weights_do_not_differ_from_themselves(scored, first, tmp_path):
    outcome = scored("--split", "val", "--compare", first, "--out", tmp_path / "second", "--json")
    assert outcome.code == 0, outcome.err
    for protocol in ("paper", "original"):
        found = outcome.data["comparison"]["splits"]["val"][protocol]
        assert found["sentences"] == {"better": 0, "worse": 0, "same": 4}
        assert {one["value"] for one in found["difference"].values()} == {0}
    assert json.loads((tmp_path / "second" / "comparison.json").read_text())["comparison"] == outcome.data["comparison"]
    assert "comparison" not in written(tmp_path / "second")


def test_files_are_replaced_with_leave_only_and_an_old_comparison_does_not_outlive_its_scores(scored, first, tmp_path):
    again = tmp_path / "again"
    assert scored("--compare", first, "--out", again).code == 0
    refused = scored("--out", again)
    assert refused.code == 2
    assert "exists already" in refused.err
    assert scored("--out", again, "--overwrite").code == 0
    assert sorted(path.name for path in again.iterdir()) == ["scores.json", "sentences.jsonl"]


def test_other_weights_are_scored_and_compared(scored, weights, tmp_path):
    shutil.copytree(weights, tmp_path / "others")
    outcome = scored("--split", "val", "--compare", tmp_path / "others")
    assert outcome.code == 0, outcome.err
    assert "val paper, sentences: better 0, worse 0, the same 4" in outcome.out


def test_results_on_other_data_are_refused(scored, first, cmirnet, grefcoco, tmp_path):
    words = ["prepare-data", "grefcoco", "--data", grefcoco / "data", "--out", tmp_path / "again", "--size", 64, "--overlap", "union"]
    assert cmirnet(*words).code == 0
    outcome = scored("--split", "val", "--compare", first, cache=tmp_path / "again")
    assert outcome.code == 3
    assert "was scored on other data: fingerprint" in outcome.err


def test_results_under_another_protocol_are_refused(scored, tmp_path):
    assert scored("--protocol", "paper", "--out", tmp_path / "paper").code == 0
    outcome = scored("--compare", tmp_path / "paper" / "scores.json")
    assert outcome.code == 3
    assert "was not scored on protocol original, only on paper" in outcome.err
    assert "--protocol" in outcome.err


def test_controls_are_scored_beside_the_splits_own_sentences(scored):
    found = scored("--control", "no-image", "--control", "shuffled-text", "--json").data
    assert list(found["splits"]["val"]["paper"]["control"]) == ["no-image", "shuffled-text"]
    assert list(found["controls"]) == ["no-image", "shuffled-text"]


def test_every_control_can_be_asked_for():
    assert {control.value for control in ControlName} == set(CONTROLS)


def test_groups_are_printed_on_demand(scored):
    assert "no target" not in scored().out
    assert "no target" in scored("--groups").out


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--save-masks",), "add --out DIR"), (("--protocol", "paper", "--report", "x.html"), "choose --protocol original")],
)
def test_masks_that_could_not_be_kept_are_refused(scored, options, message):
    outcome = scored(*options)
    assert outcome.code == 2
    assert message in outcome.err
