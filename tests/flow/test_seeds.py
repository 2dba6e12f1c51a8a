"""`train --seeds` and `eval` of several runs, from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cmirnet_cli.app import run


@pytest.fixture(scope="module")
def cache(prepared_scenes: Callable[..., Path]) -> Path:
    return prepared_scenes(64, train=4, val=3)


def words(cache: Path, folder: Path, *more: str) -> list[str]:
    small = ["--set", "data.image_size=64", "--set", "data.resize=64", "--epochs", "1", "--set", "data.workers=0"]
    return ["train", "--preset", "smoke", "--cache", str(cache), "--run-dir", str(folder), "--device", "cpu", *small, *more]


@pytest.fixture(scope="module")
def seeds(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds") / "swin"
    assert run(words(cache, folder, "--seeds", "0,1")) == 0
    return folder


def weights(folder: Path) -> bytes:
    return (folder / "weights/last/model.safetensors").read_bytes()


def test_each_seed_is_a_whole_run_that_equals_one_of_its_own(cache: Path, seeds: Path, tmp_path: Path):
    assert run(words(cache, tmp_path / "alone", "--seed", "1")) == 0
    assert weights(seeds / "seed-1") == weights(tmp_path / "alone")
    assert weights(seeds / "seed-0") != weights(seeds / "seed-1")
    assert (seeds / "seed-0/curves.png").is_file()


def test_the_same_command_goes_on_with_what_is_missing_and_leaves_what_is_done(
    cache: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = shutil.copytree(seeds, tmp_path / "swin")
    shutil.rmtree(folder / "seed-1")
    log = (folder / "seed-0/train.log").read_text()
    assert run(words(cache, folder, "--seeds", "0,1", "--json")) == 0
    told = capsys.readouterr()
    assert "seed-0 has all its 1 epochs" in told.err
    assert weights(folder / "seed-1") == weights(seeds / "seed-1")
    assert (folder / "seed-0/train.log").read_text() == log
    result = json.loads(told.out)
    each = [one["mean_iou"] for one in result["runs"]]
    assert [one["seed"] for one in result["runs"]] == [0, 1]
    assert result["over_seeds"]["mean_iou"] == {
        "mean": pytest.approx(sum(each) / 2),
        "deviation": pytest.approx(abs(each[0] - each[1]) / 2**0.5),
    }


def test_auto_goes_on_or_says_that_all_is_done(cache: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "run"
    same = words(cache, folder, "--resume", "auto")
    assert run(same) == 0
    assert "training " in capsys.readouterr().err
    assert run(same) == 0
    assert "has all its 1 epochs" in capsys.readouterr().err
    assert run([*same, "--epochs", "2"]) == 0
    assert "continuing after step" in capsys.readouterr().err
    assert run([*same, "--epochs", "2", "--lr", "0.5"]) == 2
    assert "optimizer.lr was 0.001, now 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seeds", "0,x"], "expected whole numbers"),
        (["--seeds", "1,1"], "a seed is named twice"),
        (["--seeds", "0,1", "--seed", "2"], "--seed cannot be given with --seeds"),
        (["--resume", "auto"], "--resume auto has no folder to look in"),
    ],
)
def test_what_cannot_be_is_told(cache: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert run(["train", "--preset", "smoke", "--cache", str(cache), *options]) == 2
    assert said in capsys.readouterr().err


CONTROL = ("--control", "no-image")


def evaluated(cache: Path, *arguments: object) -> list[str]:
    return ["eval", *map(str, arguments), "--cache", str(cache), "--protocol", "paper", "--device", "cpu"]


def test_a_folder_of_seeds_is_scored_as_one_group_beside_another_run(
    cache: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(words(cache, tmp_path / "other", "--lr", "0.01")) == 0
    capsys.readouterr()
    assert run([*evaluated(cache, seeds, "--compare", tmp_path / "other", "--out", tmp_path / "out", *CONTROL), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["splits"]["val"]["paper"]["swin"]["control"]["no-image"]["sentences"] > 0
    assert {name: len(runs) for name, runs in first["groups"].items()} == {"other": 1, "swin": 2}
    for seed in (0, 1):
        assert run([*evaluated(cache, seeds / f"seed-{seed}"), "--json"]) == 0
        alone = json.loads(capsys.readouterr().out)["splits"]["val"]["paper"]
        assert first["splits"]["val"]["paper"]["swin"]["scores"]["mean_iou"]["runs"][seed] == alone["mean_iou"]

    written = [str(tmp_path / "out" / name) for name in ("other", "swin")]
    assert run([*evaluated(cache, *written), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["splits"]["val"]["paper"]["swin"]["scores"] == first["splits"]["val"]["paper"]["swin"]["scores"]
    assert json.loads((tmp_path / "out/groups.json").read_text())["splits"] == first["splits"]
    for option in (CONTROL, ("--report", tmp_path / "page.html", "--protocol", "both")):
        assert run([*evaluated(cache, *written), *map(str, option)]) == 2
        assert f"other holds scores alone, and {option[0]} needs the run" in capsys.readouterr().err


def test_a_page_shows_what_each_group_predicts(cache: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    weights, page = [seeds / "seed-0", seeds / "seed-1/weights/best"], tmp_path / "page.html"
    words = ["eval", *weights, "--report", page, "--cache", cache, "--device", "cpu"]
    assert run([*map(str, words), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    shown, sentences = page.read_text(), told["splits"]["val"]["paper"]["best"]["sentences"]
    for name in told["groups"]:
        assert shown.count(f'data-layer="{name}"') == shown.count('data-layer="ground truth"') == sentences


def test_results_are_not_replaced_unless_that_is_said(cache: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = evaluated(cache, seeds, "--out", tmp_path)
    assert run(words) == 0
    (tmp_path / "groups.json").unlink()
    assert run(words) == 2
    assert "swin/seed-0/scores.json" in capsys.readouterr().err
    assert run([*words, "--overwrite"]) == 0
    assert run(words) == 2
    assert "groups.json" in capsys.readouterr().err


def test_groups_of_one_name_are_told_apart_by_what_was_typed(cache: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = shutil.copytree(seeds, tmp_path / "swin")
    assert run([*evaluated(cache, seeds, "--compare", other), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["groups"]) == {str(seeds), str(other)}


def test_runs_that_differ_in_their_seed_alone_are_one_group(cache: Path, seeds: Path, capsys: pytest.CaptureFixture[str]):
    assert run(evaluated(cache, seeds / "seed-0", seeds / "seed-1", "--latex")) == 0
    told = capsys.readouterr().out
    assert told.startswith(r"\begin{tabular}")
    assert told.count(r"\pm") == 7


def test_runs_of_one_seed_are_no_group_as_they_tell_nothing_about_seeds(
    cache: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = shutil.copytree(seeds / "seed-0", tmp_path / "edited")
    assert run([*evaluated(cache, seeds / "seed-0", other), "--json"]) == 0
    assert {name: len(runs) for name, runs in json.loads(capsys.readouterr().out)["groups"].items()} == {"seed-0": 1, "edited": 1}
    assert run(evaluated(cache, other, f"{other}/../edited")) == 2
    assert "is named twice" in capsys.readouterr().err


def test_runs_of_one_name_in_a_group_are_written_to_folders_of_their_own(cache: Path, seeds: Path, tmp_path: Path):
    runs = [shutil.copytree(seeds / f"seed-{seed}", tmp_path / str(seed) / "run") for seed in (0, 1)]
    assert run(evaluated(cache, *runs, "--out", tmp_path / "out")) == 0
    assert len(list((tmp_path / "out" / "run").glob("*/scores.json"))) == 2


def test_scores_that_cannot_be_compared_are_named_before_a_run_is_scored(
    cache: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(evaluated(cache, seeds / "seed-0", "--out", tmp_path / "earlier")) == 0
    described = json.loads((tmp_path / "earlier/scores.json").read_text())
    described["data"]["fingerprint"] = "0" * 64
    (tmp_path / "earlier/scores.json").write_text(json.dumps(described))
    assert run(evaluated(cache, seeds, tmp_path / "earlier", "--out", tmp_path / "out")) == 3
    assert "was scored on other data: fingerprint 000000000000" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_with_epochs_left_is_named(cache: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = shutil.copytree(seeds, tmp_path / "swin")
    config = folder / "seed-1/config.yaml"
    config.write_text(config.read_text().replace("epochs: 1\n", "epochs: 3\n"))
    assert run(evaluated(cache, folder)) == 0
    told = capsys.readouterr().err
    assert "seed-1 has 1 of its 3 epochs: it is scored as it is" in told
    assert "seed-0 has" not in told


def test_a_seed_that_cannot_run_is_named_before_the_first_is_trained(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "seed-1").mkdir()
    (tmp_path / "seed-1/notes.txt").write_text("mine")
    assert run(words(cache, tmp_path, "--seeds", "0,1")) == 2
    assert "seed-1 already holds files" in capsys.readouterr().err
    assert not (tmp_path / "seed-0").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--groups"], "--groups cannot be given with several runs"),
        (["--latex", "--markdown"], "--latex cannot be given beside --markdown"),
    ],
)
def test_what_is_about_one_model_is_refused_for_several(
    cache: Path, seeds: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert run([*evaluated(cache, seeds), *options]) == 2
    assert said in capsys.readouterr().err


def test_a_run_without_weights_is_named_before_anything_is_scored(
    cache: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = shutil.copytree(seeds, tmp_path / "swin")
    shutil.rmtree(folder / "seed-1/weights")
    assert run(evaluated(cache, folder)) == 4
    assert "seed-1 has no weights yet" in capsys.readouterr().err
