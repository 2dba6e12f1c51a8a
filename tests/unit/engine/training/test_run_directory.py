"""What a run directory keeps, read back with other tools."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from cmirnet_cli.config import Settings, resolve
from cmirnet_cli.engine.training.callbacks import EpochReport, StepReport
from cmirnet_cli.engine.training.run_directory import RunDirectory, new_run_folder
from cmirnet_cli.errors import CmirnetError, DivergedError, UsageError, WeightsError

STEP = StepReport(epoch=1, step=3, loss=0.5, lr=1e-4, seconds=0.16, samples_per_second=12.5, data_wait=0.25, memory_gib=1.5)
VALIDATED = EpochReport(epoch=1, step=3, loss=0.5, lr=1e-4, seconds=61.4, overall_iou=33.333, mean_iou=30.0, best=True)
PLAIN = EpochReport(epoch=2, step=6, loss=0.25, lr=5e-5, seconds=60.0, overall_iou=None, mean_iou=None, best=False)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "runs" / "first", Settings(), "abc123")


def test_recorded_settings_resolve_to_themselves(tmp_path: Path):
    settings = Settings.model_validate({"model": {"backbone": "resnet50"}, "schedule": {"epochs": 3}, "loop": {"seed": 5}})
    run = RunDirectory.create(tmp_path / "run", settings, "abc123")
    assert resolve(preset=str(run.folder / "config.yaml")) == settings


def test_environment_says_what_ran_on_what(run: RunDirectory):
    environment = json.loads((run.folder / "env.json").read_text())
    assert environment["data"] == "abc123"
    assert environment["libraries"]["torch"] == torch.__version__.partition("+")[0]
    assert environment["program"]


def test_folder_that_holds_files_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="already holds files") as caught:
        RunDirectory.create(tmp_path, Settings(), "abc123")
    assert "--run-dir" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_file_in_the_place_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(UsageError, match=r"run is a file") as caught:
        RunDirectory.create(tmp_path / "run", Settings(), "abc123")
    assert "--run-dir" in caught.value.hint


def test_steps_and_epochs_are_lines_of_json_in_the_order_they_happened(run: RunDirectory):
    run.step(STEP)
    run.epoch(VALIDATED)
    run.epoch(PLAIN)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line.pop("kind") for line in lines] == ["step", "epoch", "epoch"]
    assert [StepReport(**lines[0]), EpochReport(**lines[1]), EpochReport(**lines[2])] == [STEP, VALIDATED, PLAIN]


def test_epochs_are_rows_of_one_table_with_one_header(run: RunDirectory):
    run.epoch(VALIDATED)
    run.epoch(PLAIN)
    with (run.folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["loss"], row["overall_iou"], row["best"]) for row in rows] == [
        ("1", "0.5", "33.333", "True"),
        ("2", "0.25", "", "False"),
    ]


def test_log_has_one_line_an_epoch_in_words(run: RunDirectory):
    run.epoch(VALIDATED)
    run.epoch(PLAIN)
    first, second = (run.folder / "train.log").read_text().splitlines()
    assert first.endswith("epoch 1: loss 0.5000, lr 1.00e-04, 61 s, overall IoU 33.33, mean IoU 30.00, best so far")
    assert second.endswith("epoch 2: loss 0.2500, lr 5.00e-05, 60 s")


def test_a_run_that_goes_on_has_no_bad_batch_any_more(run: RunDirectory):
    run.keep_bad_batch(3, DivergedError("the loss is nan", "lower it", (7, 8)))
    run.rewind(0, 0, Settings())
    assert not (run.folder / "bad-batch.json").exists()


@pytest.mark.parametrize(
    "line", ['{"kind": "step", "epoch": 1}', '{"kind": "step", "step": "two"}', '{"kind": "pause", "step": 1}', '{"step": 1}', "[]"]
)
def test_a_line_that_was_changed_is_named_and_nothing_is_forgotten(run: RunDirectory, line: str):
    (run.folder / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(CmirnetError, match=r"metrics\.jsonl is damaged"):
        run.rewind(0, 0, Settings())
    assert (run.folder / "metrics.jsonl").read_text() == line + "\n"


@pytest.mark.parametrize("entry", ["data", "threads", "text_features", "resumed"])
def test_an_entry_of_the_environment_that_is_gone_is_named(run: RunDirectory, entry: str):
    known = json.loads((run.folder / "env.json").read_text())
    del known[entry]
    (run.folder / "env.json").write_text(json.dumps(known))
    with pytest.raises(CmirnetError, match=rf"env\.json is damaged: KeyError: '{entry}'"):
        run.rewind(0, 0, Settings()) if entry == "resumed" else getattr(run, entry)


def test_new_run_takes_the_first_name_that_is_free(tmp_path: Path):
    names = []
    for _ in range(3):
        folder = new_run_folder(tmp_path, "swin-b")
        folder.mkdir()
        names.append(folder.name)
    assert names == ["swin-b", "swin-b-2", "swin-b-3"]


def test_run_that_was_killed_in_its_first_epoch_has_lost_nothing(run: RunDirectory):
    run.require_kept()
    run.epoch(VALIDATED)  # its checkpoint is written next
    run.require_kept()


def test_run_that_has_lost_its_checkpoints_does_not_begin_anew(run: RunDirectory):
    run.epoch(VALIDATED)
    run.epoch(PLAIN)
    with pytest.raises(WeightsError, match="has no checkpoint, and 2 epochs are done") as caught:
        run.require_kept()
    assert f"--init-from {run.weights / 'last'}" in str(caught.value.hint)


def test_run_that_has_lost_its_best_weights_says_so(run: RunDirectory):
    run.epoch(VALIDATED)
    checkpoint = run.checkpoints / "epoch-0001-step-00000010"
    checkpoint.mkdir(parents=True)
    with pytest.raises(WeightsError, match="best is missing") as caught:
        run.require_kept()
    assert f"--init-from {checkpoint}" in str(caught.value.hint)
    (run.weights / "best").mkdir(parents=True)
    run.require_kept()
