"""What `cmirnet doctor` says of data, caches and runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cmirnet_cli.app import run

Findings = Callable


def test_where_all_is_well_nothing_is_an_error_and_nothing_is_written(well, cmirnet, findings):
    before = well.content()
    outcome = cmirnet(*well.words, "--json")
    assert outcome.code == 0
    places = [finding for finding in outcome.data["findings"] if str(well.folder) in finding["subject"]]
    assert {finding["severity"] for finding in places if "disk" not in finding["subject"]} == {"ok", "note"}
    assert well.content() == before
    for subject in ("scenes (demo)", "scenes-demo", "runs/first", "weights/best", "weights/last"):
        assert [finding["severity"] for finding in findings(well, subject)[1]] == ["ok"]


def test_every_finding_that_is_not_ok_says_what_to_do(home, cmirnet):
    (home.cache / "images-00000.h5").unlink()
    (home.run / "weights/best/config.json").unlink()
    found = cmirnet(*home.words, "--json").data
    assert found["severity"] == "error"
    assert [finding for finding in found["findings"] if finding["severity"] != "ok" and not finding["advice"]] == []


def test_a_folder_with_nothing_in_it_is_no_error(cmirnet, tmp_path):
    words = ["doctor", *(word for name in ("data", "cache", "runs") for word in (f"--{name}", tmp_path / name))]
    outcome = cmirnet(*words, "--json")
    assert outcome.code == 0
    assert outcome.data["severity"] in {"ok", "note", "warning"}
    (missing,) = [finding for finding in outcome.data["findings"] if finding["subject"] == str(tmp_path / "data")]
    assert "refcoco (unc), refcoco (google), refcoco+ (unc)" in missing["message"]
    assert list(tmp_path.iterdir()) == []


def test_people_see_each_finding_with_the_advice_below_it(home, cmirnet):
    (home.cache / "images-00000.h5").unlink()
    outcome = cmirnet(*home.words)
    assert outcome.code == 3
    lines = outcome.out.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("error ")]
    assert lines[place] == f"error    {home.cache}: {home.cache} is damaged: images-00000.h5 missing or of the wrong length"
    again = f"cmirnet prepare-data scenes --split-by demo --size 96 --out {home.cache.parent} --overwrite"
    assert lines[place + 1] == f"         → prepare it again with: {again}"
    assert lines[-1].startswith("1 error, ")


@pytest.mark.parametrize("name", ["annotations.h5", "images-00000.h5"])
def test_a_shard_cut_short_is_an_error_about_data(home, findings, name):
    file = home.cache / name
    file.write_bytes(file.read_bytes()[:-10])
    code, (found,) = findings(home, "scenes-demo")
    assert (code, found["severity"], found["exit_code"]) == (3, "error", 3)
    assert f"{name} missing or of the wrong length" in found["message"]
    assert found["advice"].endswith("--overwrite")


def test_a_cache_of_another_schema_version_is_an_error_with_both_numbers(home, findings):
    manifest = json.loads((home.cache / "manifest.json").read_text())
    (home.cache / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    code, (found,) = findings(home, "scenes-demo")
    assert code == 3
    assert "schema_version is 99" in found["message"]


def test_a_cache_without_its_manifest_is_an_error(home, findings):
    (home.cache / "manifest.json").unlink()
    code, (found,) = findings(home, "scenes-demo")
    assert code == 3
    assert "has no manifest" in found["message"]


def test_a_cache_may_be_named_itself(home, cmirnet):
    assert cmirnet("doctor", "--cache", home.cache, "--json").code == 0
    (home.cache / "images-00000.h5").unlink()
    assert cmirnet("doctor", "--cache", home.cache, "--json").code == 3


def test_preparing_that_was_broken_off_says_how_it_goes_on(home, findings):
    home.cache.rename(home.cache.with_name("scenes-demo.partial-0123456789ab"))
    code, (found,) = findings(home, ".partial-0123456789ab")
    assert (code, found["severity"]) == (0, "note")
    assert "cmirnet prepare-data scenes --split-by demo" in found["advice"]


def test_text_features_cut_short_are_an_error(home, findings, minilm):
    assert run(["cache-features", str(home.cache), "--set", f"text.source={minilm}", "--set", "model.text_width=384", "--quiet"]) == 0
    assert [found["severity"] for found in findings(home, "scenes-demo")[1]] == ["ok"]
    (words,) = home.cache.glob("text-features-*/words.h5")
    words.write_bytes(words.read_bytes()[:-1])
    code, (found,) = findings(home, "scenes-demo")
    assert code == 3
    assert "cmirnet cache-features" in found["advice"]


def test_text_features_that_were_broken_off_say_how_they_go_on(home, findings):
    (home.cache / "text-features-0123456789ab.partial-0123456789ab").mkdir()
    code, (found,) = findings(home, ".partial-0123456789ab")
    assert (code, found["severity"]) == (0, "note")
    assert found["message"] == "text features, started but not finished"
    assert f"cmirnet cache-features {home.cache}" in found["advice"]


def test_a_data_set_with_refs_in_two_forms_is_found_once(home, findings):
    refs = home.folder / "data/scenes/refs(demo).p"
    shutil.copy(refs, refs.with_suffix(".json"))
    assert len(findings(home, "scenes (demo)")[1]) == 1


def test_annotations_without_photographs_are_a_warning(home, findings):
    images = home.folder / "data/scenes/images"
    shutil.rmtree(images)
    images.mkdir()
    code, (found,) = findings(home, "scenes (demo)")
    assert (code, found["severity"]) == (0, "warning")
    assert str(images) in found["message"]
    assert "--images DIR" in found["advice"]


def test_refs_without_instances_are_an_error_that_names_the_file(home, findings):
    (home.folder / "data/scenes/instances.json").unlink()
    code, (found,) = findings(home, "scenes (demo)")
    assert (code, found["severity"]) == (3, "error")
    assert "instances.json (looked in" in found["message"]


def test_real_photographs_are_found_where_they_lie(coco128, cmirnet):
    found = {finding["subject"]: finding for finding in cmirnet("doctor", "--data", coco128, "--json").data["findings"]}
    assert found["refcoco128 (template)"]["severity"] == "ok"
    assert found["refcoco128 (template)"]["message"].endswith("images/train2017")


def test_a_run_that_was_broken_off_says_how_to_go_on(home, findings):
    lines = (home.run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (home.run / "metrics.jsonl").write_text("".join(line for line in lines if '"epoch": 1' in line))
    code, (found,) = findings(home, "runs/first")
    assert (code, found["severity"]) == (0, "note")
    assert found["message"].startswith("1 of 2 epochs done, best overall IoU ")
    assert found["advice"].endswith(f"cmirnet train --resume {home.run}")
    assert run(["train", "--resume", str(home.run), "--cache", str(home.folder / "cache"), "--device", "cpu", "--quiet"]) == 0


def test_a_run_whose_loss_was_no_number_is_a_warning(home, findings):
    (home.run / "metrics.jsonl").unlink()
    (home.run / "bad-batch.json").write_text("{}")
    code, (found,) = findings(home, "runs/first")
    assert (code, found["severity"]) == (0, "warning")
    assert found["message"].endswith("training diverged: the loss is NaN or infinite")
    assert "bad-batch.json" in found["advice"]
    assert f"cmirnet train --init-from {home.run}/weights/last --lr " in found["advice"]
    assert "--resume" not in found["advice"]


@pytest.mark.parametrize("part", ["weights/best", "weights/last", "checkpoints"])
def test_weights_cut_short_are_an_error_about_weights(home, findings, part):
    (file,) = (home.run / part).rglob("model.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    code, (found,) = findings(home, file.parent.name)
    assert (code, found["severity"], found["exit_code"]) == (4, "error", 4)
    assert "model.safetensors" in found["message"]


def test_a_state_cut_short_is_an_error_about_weights(home, findings):
    (file,) = (home.run / "checkpoints").rglob("state.pt")
    file.write_bytes(file.read_bytes()[:-100])
    code, (found,) = findings(home, file.parent.name)
    assert code == 4
    assert "state.pt is missing or cut short" in found["message"]


def test_a_setting_that_cannot_be_is_an_error_about_settings(home, findings):
    config = home.run / "config.yaml"
    config.write_text(config.read_text().replace("resnet-nano", "resnet-none"))
    code, (found,) = findings(home, "runs/first")
    assert code == 2
    assert "model.backbone" in found["message"]


def test_the_first_error_decides_the_exit_code(home, cmirnet):
    (home.run / "weights/best/model.safetensors").write_bytes(b"")
    assert cmirnet(*home.words, "--json").code == 4
    (home.cache / "manifest.json").write_text("")
    assert cmirnet(*home.words, "--json").code == 3


def test_quiet_and_json_print_the_result_alone(well, cmirnet):
    outcome = cmirnet(*well.words, "--json", "--quiet")
    assert outcome.err == ""
    assert set(outcome.data) == {"schema_version", "severity", "findings"}
    assert {frozenset(finding) for finding in outcome.data["findings"]} == {
        frozenset({"severity", "subject", "message", "advice", "exit_code"})
    }


def test_a_run_in_a_folder_named_by_itself_is_looked_at(well, cmirnet):
    found = cmirnet("doctor", "--runs", well.run, "--json").data["findings"]
    assert [finding["message"][:18] for finding in found if finding["subject"] == str(well.run)] == ["2 of 2 epochs done"]
    assert Path(str(well.run / "weights/best")) in [Path(finding["subject"]) for finding in found]
