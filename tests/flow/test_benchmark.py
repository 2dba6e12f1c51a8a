"""`cmirnet benchmark data`: what it compares and reports. How fast anything is is not tested; unit/tools/test_measure.py runs `train`."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.app import run
from cmirnet_cli.scenes import Amount, write_scenes
from tests.flow.conftest import Outcome

Cmirnet = Callable[..., Outcome]
WAYS = ["plain", "plain, normalised"]
SHORT = ["--rounds", "1", "--samples", "16", "--json"]


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A small data set of drawn scenes, not prepared yet."""
    write_scenes(tmp_path, images={"train": Amount(8, 20, 50), "val": Amount(2, 4, 8)}, size=(80, 60))
    return tmp_path


def prepare(home: Path, store: str = "decoded", size: int = 64) -> Path:
    words = f"prepare-data scenes --split-by demo --data {home} --out {home / 'cache'} --size {size} --store {store} --quiet"
    assert run(words.split()) == 0
    return home / "cache"


def measure(cmirnet: Cmirnet, home: Path, *more: object) -> Outcome:
    return cmirnet("benchmark", "data", "--cache", home / "cache", "--data", home, *SHORT, *more)


def test_without_a_data_set_it_draws_one_and_measures_both_stores(cmirnet: Cmirnet):
    outcome = cmirnet("benchmark", "data", "--size", "64", *SHORT, "--rounds", "2")
    assert outcome.code == 0
    found = outcome.data
    assert list(found["ways"]) == [*WAYS, "decoded", "encoded"]
    assert (found["samples"], found["batch_size"], found["size"], found["workers"], found["identical"]) == (16, 8, 64, 0, True)
    for way in found["ways"].values():
        assert len(way["seconds"]) == 2
        assert way["ms_per_sample"]["lowest"] <= way["ms_per_sample"]["median"] <= way["ms_per_sample"]["highest"]
        assert set(way["times_faster_than"]) == set(WAYS)
    assert found["ways"]["plain"]["times_faster_than"]["plain"] == {"median": 1.0, "lowest": 1.0, "highest": 1.0}
    assert {"processor", "cores", "memory_gib", "system", "python", "libraries"} == set(found["machine"])


@pytest.mark.parametrize("store", ["decoded", "encoded"])
def test_a_cache_is_measured_against_the_files_it_was_made_from(cmirnet: Cmirnet, drawn: Path, store: str):
    prepare(drawn, store)
    found = measure(cmirnet, drawn).data
    assert list(found["ways"]) == [*WAYS, store]
    assert (found["data"]["dataset"], found["data"]["split_by"], found["data"]["split"]) == ("scenes", "demo", "train")


@pytest.mark.slow
def test_real_photographs_load_alike_in_every_way(cmirnet: Cmirnet, coco128: Path, tmp_path: Path):
    source = ["--annotations", coco128, "--images", coco128 / "images"]
    assert cmirnet("prepare-data", "refcoco128", "--split-by", "template", *source, "--out", tmp_path, "--size", "96").code == 0
    found = cmirnet("benchmark", "data", "--cache", tmp_path, *source, "--rounds", "1", "--samples", "64", "--json").data
    assert (found["identical"], found["samples"], found["size"]) == (True, 64, 96)


def test_a_jsonl_file_is_named_where_its_cache_came_from_one(cmirnet: Cmirnet, tmp_path: Path):
    Image.effect_noise((50, 40), 60).convert("RGB").save(tmp_path / "a.png")
    box = [[5, 5, 30, 5, 30, 30, 5, 30]]
    lines = [{"image": "a.png", "expression": f"thing {n}", "polygons": box, "split": "train"} for n in range(8)]
    own = tmp_path / "own.jsonl"
    own.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert cmirnet("prepare-data", own, "--out", tmp_path / "cache", "--size", "64").code == 0
    found = cmirnet("benchmark", "data", "--cache", tmp_path / "cache", "--annotations", own, *SHORT).data
    assert (found["identical"], found["samples"]) == (True, 8)


@pytest.mark.slow
def test_workers_load_the_same(cmirnet: Cmirnet, drawn: Path):
    prepare(drawn)
    assert measure(cmirnet, drawn, "--workers", 2).data["workers"] == 2


def test_a_photograph_that_changed_since_is_found(cmirnet: Cmirnet, drawn: Path):
    prepare(drawn)
    for path in (drawn / "scenes" / "images").rglob("*.jpg"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    outcome = measure(cmirnet, drawn)
    assert outcome.code == 1
    error = outcome.data["error"]
    assert error["message"].startswith("decoded does not load what plain loads: the pixels of sentence ")
    assert "prepare it again" in error["hint"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("left", [None, b"no photograph"], ids=["gone", "damaged"])
def test_a_photograph_that_cannot_be_read_any_more_is_named(cmirnet: Cmirnet, drawn: Path, left: bytes | None, workers: int):
    prepare(drawn)
    photographs = list(drawn.rglob("*.jpg"))
    for photograph in photographs:
        photograph.unlink() if left is None else photograph.write_bytes(left)
    outcome = measure(cmirnet, drawn, "--workers", workers)
    assert outcome.code == 3
    error = outcome.data["error"]
    assert any(error["message"].startswith(f"cannot load {photograph}: ") for photograph in photographs)
    assert "Traceback" not in error["message"]


def test_an_outline_that_changed_since_is_found(cmirnet: Cmirnet, drawn: Path):
    prepare(drawn)
    file = drawn / "scenes" / "instances.json"
    instances = json.loads(file.read_text())
    for annotation in instances["annotations"]:
        annotation["segmentation"] = [[0, 0, 70, 0, 70, 50, 0, 50]]
    file.write_text(json.dumps(instances))
    outcome = measure(cmirnet, drawn)
    assert outcome.code == 1
    assert outcome.data["error"]["message"].startswith("decoded does not load what plain loads: the mask of sentence ")


def test_a_sentence_that_changed_since_is_found(cmirnet: Cmirnet, drawn: Path):
    prepare(drawn)
    change_sentences(drawn, lambda sentence: sentence | {"raw": "the unicorn"})
    outcome = measure(cmirnet, drawn)
    assert outcome.code == 1
    assert "the tokens of sentence " in outcome.data["error"]["message"]


def test_a_sentence_that_is_gone_since_is_named(cmirnet: Cmirnet, drawn: Path):
    prepare(drawn)
    change_sentences(drawn, lambda sentence: sentence | {"sent_id": sentence["sent_id"] + 1000})
    outcome = measure(cmirnet, drawn)
    assert outcome.code == 3
    assert outcome.data["error"]["message"].startswith("the original data have no sentence ")


def test_too_few_samples_for_a_batch_are_refused(cmirnet: Cmirnet, drawn: Path):
    prepare(drawn)
    outcome = measure(cmirnet, drawn, "--split", "val")
    assert outcome.code == 3
    assert outcome.data["error"]["message"].startswith("4 samples of val in ")


def change_sentences(home: Path, change: Callable[[dict], dict]) -> None:
    file = home / "scenes" / "refs(demo).p"
    refs = pickle.loads(file.read_bytes())
    changed = [ref | {"sentences": [change(sentence) for sentence in ref["sentences"]]} for ref in refs]
    file.write_bytes(pickle.dumps(changed, protocol=2))


@pytest.mark.parametrize(
    "words",
    [
        ["data", "--size", "100"],
        ["infer", "--size", "100"],
        ["train", "--size", "100"],
    ],
)
def test_a_size_that_no_network_takes_is_refused_under_its_own_name(cmirnet: Cmirnet, words: list[str]):
    outcome = cmirnet("benchmark", *words)
    assert outcome.code == 2
    assert f"{words[-2]}': {words[-1]} is not a multiple of 32" in outcome.err


@pytest.mark.parametrize("option", ["--split-by", "--data", "--annotations", "--images"])
def test_what_says_where_a_cache_came_from_needs_one(cmirnet: Cmirnet, option: str):
    outcome = cmirnet("benchmark", "data", option, "unc")
    assert outcome.code == 2
    assert "add --cache or --dataset" in outcome.err
