"""What trackers hear of a run, read back with TensorBoard's own reader."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from accelerate.tracking import GeneralTracker
from PIL import Image

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.training.callbacks import EpochReport, StepReport
from cmirnet_cli.engine.training.examples import Example
from cmirnet_cli.engine.training.run import train
from cmirnet_cli.engine.training.tracking import Tracked, require_trackers, tracked
from cmirnet_cli.errors import UsageError

VALIDATED = EpochReport(epoch=1, step=3, loss=0.5, lr=1e-4, seconds=61.4, overall_iou=33.25, mean_iou=30.5, best=True)
PLAIN = EpochReport(epoch=2, step=6, loss=0.25, lr=5e-5, seconds=60.0, overall_iou=None, mean_iou=None, best=False)
PICTURE = np.arange(4 * 12 * 3, dtype=np.uint8).reshape(4, 12, 3)
TENSORBOARD = Settings.model_validate({"loop": {"track": ["tensorboard"]}})
TINY = {
    "model": {"backbone": "resnet-nano", "fusion_width": 32, "text_width": 24},
    "text": {"source": "scratch", "scratch_layers": 3},
    "data": {"image_size": 64, "resize": 72, "workers": 0},
    "schedule": {"epochs": 1},
}
LOOP = {"batch_size": 2, "backbone_weights": "none", "precision": "fp32"}


def step(number: int, loss: float = 1.0) -> StepReport:
    return StepReport(1, number, loss, 0.125, 2.0, 8.0, 0.25, 1.5)


def examples() -> list[Example]:
    return [Example("the red cup", PICTURE)]


def read(run: Path) -> Any:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    return accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0}).Reload()


def scalars(run: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(run).Scalars(tag)]


def test_every_number_of_steps_and_epochs_stands_at_its_step(tmp_path: Path):
    with tracked(TENSORBOARD, tmp_path, 0, examples, print) as callbacks:
        for callback in callbacks:
            callback.step(step(3))
            callback.epoch(VALIDATED)
            callback.epoch(PLAIN)
    expected = {"train/loss": [(3, 1.0)], "train/lr": [(3, 0.125)], "train/samples_per_second": [(3, 8.0)], "train/data_wait": [(3, 0.25)]}
    expected |= {"epoch/loss": [(3, 0.5), (6, 0.25)], "val/overall_iou": [(3, 33.25)], "val/mean_iou": [(3, 30.5)]}
    assert {tag: scalars(tmp_path, tag) for tag in expected} == expected


def test_validated_epochs_bring_pictures_and_others_none(tmp_path: Path):
    with tracked(TENSORBOARD, tmp_path, 0, examples, print) as callbacks:
        callbacks[0].epoch(VALIDATED)
        callbacks[0].epoch(PLAIN)
    (image,) = read(tmp_path).Images("val/example-1 the red cup")
    assert image.step == 3
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image.encoded_image_string))), PICTURE)


def test_a_tracker_is_given_every_setting_once(tmp_path: Path):
    for taken in (0, 2):
        with tracked(TENSORBOARD, tmp_path, taken, examples, print):
            pass
    (recorded,) = [yaml.safe_load(path.read_text()) for path in (tmp_path / "tensorboard").glob("*/hparams.yml")]
    assert recorded["model.backbone"] == "swin-b"
    assert recorded["optimizer.weight_decay"] == 0.01
    assert set(json.loads((tmp_path / "trackers.json").read_text())) == {"tensorboard"}


def test_steps_that_are_taken_again_are_there_once(tmp_path: Path):
    for taken, loss in ((0, 1.0), (2, 2.0)):  # a run that was killed after its fourth step, and resumed after its second
        with tracked(TENSORBOARD, tmp_path, taken, examples, print) as callbacks:
            for number in range(taken + 1, 5):
                callbacks[0].step(step(number, loss))
    assert scalars(tmp_path, "train/loss") == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


class Full(GeneralTracker):
    """A tracker that takes two reports."""

    name, requires_logging_directory, tracker = "full", False, None

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[int | None] = []

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        if len(self.heard) == 2:
            raise ConnectionError("the server is gone")
        sys.stdout.write("as trackers do\n")
        self.heard.append(step)


def test_a_tracker_that_fails_is_left_out_and_said_once_and_what_it_prints_is_no_result(capsys: pytest.CaptureFixture[str]):
    tracker, said = Full(), []
    callback = Tracked({"full": tracker}, examples, said.append)
    for number in (1, 2, 3, 4):
        callback.step(step(number))
    assert tracker.heard == [1, 2]
    assert said == ["as trackers do", "as trackers do", "full failed, and the run continues without it: the server is gone"]
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(any(map(importlib.util.find_spec, ("aim", "comet_ml"))), reason="needs a tracker that is not installed")
def test_trackers_that_are_not_installed_are_all_named_with_the_command_that_installs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "aim").mkdir()  # a folder of that name is no package
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="not installed: aim, comet_ml") as caught:
        require_trackers(["aim", "tensorboard", "comet_ml"])
    assert caught.value.hint == "pip install aim comet-ml"


@pytest.fixture(scope="module")
def losses(small_cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, list[float]]]:
    """Trains for an epoch with settings of the loop: the run's folder, and its losses."""

    def run(**loop: object) -> tuple[Path, list[float]]:
        chosen = Settings.model_validate(TINY | {"loop": LOOP | loop})
        chosen = chosen.model_copy(update={"data": chosen.data.model_copy(update={"cache": small_cache.folder})})
        folder = tmp_path_factory.mktemp("tracked") / "run"
        said: list[str] = []
        train(chosen, folder, device="cpu", notice=said.append)
        (folder / "said").write_text("\n".join(said))
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return folder, [line["loss"] for line in lines if line["kind"] == "step"]

    return run


def test_a_tracked_run_computes_what_an_untracked_one_does_and_the_old_setting_still_tracks(
    losses: Callable[..., tuple[Path, list[float]]],
):
    pytest.importorskip("tensorboard")
    plain, tracked_run = losses(), losses(tensorboard=True)
    assert tracked_run[1] == plain[1]
    assert (plain[0] / "weights/last/model.safetensors").read_bytes() == (tracked_run[0] / "weights/last/model.safetensors").read_bytes()
    assert [loss for _, loss in scalars(tracked_run[0], "train/loss")] == pytest.approx(plain[1], rel=1e-6)
    assert len(read(tracked_run[0]).Tags()["images"]) > 1
    assert "loop.tensorboard is called loop.track=tensorboard now" in (tracked_run[0] / "said").read_text()
    assert not (plain[0] / "tensorboard").exists()
