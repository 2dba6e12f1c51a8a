"""Every error a user can meet, met through the command line: as docs/errors.md says, with what to do about it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cmirnet_cli import errors
from cmirnet_cli.app import COMMANDS
from cmirnet_cli.scenes import write_scenes
from tools.errors_page import family


@dataclass(frozen=True)
class Place:
    """What the commands below are given: a folder to write to, a cache, weights."""

    folder: Path
    cache: Path
    weights: Path

    def train(self, *words: str) -> list[str]:
        sizes = ["--set", "data.image_size=64", "--set", "data.resize=64"]
        places = ["--cache", str(self.cache), "--run-dir", str(self.folder / "run"), "--device", "cpu"]
        return ["train", "--preset", "smoke", *places, *sizes, *words]

    def without_end(self) -> list[str]:
        """Training that goes on until somebody stops it."""
        return self.train("--epochs", "1000")

    def predict(self, weights: Path, picture: Path) -> list[str]:
        return ["predict", str(weights), str(picture), "-e", "the red cup", "--out", str(self.folder / "out"), "--fail-fast"]

    def written(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path


@pytest.fixture(scope="module")
def cache(prepared_scenes: Callable[..., Path]) -> Path:
    return prepared_scenes(64, train=9, val=2)


@pytest.fixture
def place(tmp_path: Path, cache: Path, weights: Path) -> Place:
    return Place(tmp_path, cache, weights)


def a_folder_that_is_a_file(place: Place) -> list[str]:
    return ["eval", str(place.weights), "--cache", str(place.cache), "--out", str(place.written("taken", b"") / "below")]


def a_learning_rate_beyond_reason(place: Place) -> list[str]:
    return place.train("--lr", "1e30", "--epochs", "9")


def an_option_that_is_not_there(place: Place) -> list[str]:
    return ["presets", "ls", "--colour"]


def a_setting_that_is_not_there(place: Place) -> list[str]:
    return place.train("--set", "optimizer.learning_rate=1", "--print-config")


def photographs_that_are_not_there(place: Place) -> list[str]:
    return place.predict(place.weights, place.folder / "nothing.jpg")


def an_address_where_nobody_answers(place: Place) -> list[str]:
    return ["predict", str(place.weights), "https://127.0.0.1:9/photos/", "-e", "the red cup", "--out", str(place.folder / "out")]


def a_folder_in_storage_that_is_not_there(place: Place) -> list[str]:
    return ["predict", str(place.weights), "memory://nothing/", "-e", "the red cup", "--out", str(place.folder / "out")]


def a_line_that_is_no_json(place: Place) -> list[str]:
    return ["prepare-data", str(place.written("mine.jsonl", b"{")), "--out", str(place.folder)]


def a_photograph_that_is_none(place: Place) -> list[str]:
    return place.predict(place.weights, place.written("photo.jpg", b"not a photograph"))


def a_cache_that_is_not_there(place: Place) -> list[str]:
    return ["cache", "info", str(place.folder / "nothing")]


def weights_cut_short(place: Place) -> list[str]:
    shutil.copytree(place.weights, place.folder / "weights")
    (place.folder / "weights/model.safetensors").write_bytes(b"short")
    write_scenes(place.folder / "data", images={"train": 1})
    return place.predict(place.folder / "weights", next((place.folder / "data").rglob("*.jpg")))


def an_export_of_another_version(place: Place) -> list[str]:
    write_scenes(place.folder / "data", images={"train": 1})
    export = place.folder / "export"
    export.mkdir()
    (export / "model.onnx").touch()
    (export / "export.json").write_text("{}")
    return place.predict(export, next((place.folder / "data").rglob("*.jpg")))


PROVOKED: dict[type[errors.CmirnetError], Callable[[Place], list[str]]] = {
    errors.CmirnetError: a_folder_that_is_a_file,
    errors.DivergedError: a_learning_rate_beyond_reason,
    errors.UsageError: an_option_that_is_not_there,
    errors.ConfigError: a_setting_that_is_not_there,
    errors.DataError: photographs_that_are_not_there,
    errors.StorageError: an_address_where_nobody_answers,
    errors.NotThereError: a_folder_in_storage_that_is_not_there,
    errors.AnnotationError: a_line_that_is_no_json,
    errors.ImageError: a_photograph_that_is_none,
    errors.CacheError: a_cache_that_is_not_there,
    errors.WeightsError: weights_cut_short,
    errors.ExportError: an_export_of_another_version,
    errors.InterruptedRunError: Place.without_end,
    errors.TerminatedRunError: Place.without_end,
}
STOPPED_BY = {errors.InterruptedRunError: signal.SIGINT, errors.TerminatedRunError: signal.SIGTERM}
FAMILY_NAMES = {errors.StoppedError}
"""Never raised themselves; they catch those below them."""


@contextmanager
def stopping(number: signal.Signals | None, run: Path) -> Iterator[None]:
    """Send this process a signal as soon as a training run has taken a step; None sends nothing."""

    def send() -> None:
        deadline = time.monotonic() + 60
        while not (run / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    sending = threading.Thread(target=send)
    if number is not None:
        sending.start()
    yield
    if number is not None:
        sending.join()


@pytest.mark.parametrize("kind", PROVOKED, ids=lambda kind: kind.__name__)
def test_an_error_is_met_through_the_command_line_with_its_exit_code_and_what_to_do(kind, place, cmirnet):
    words = PROVOKED[kind](place)
    if words[0] not in {name.split()[0] for name, _ in COMMANDS}:
        pytest.skip(f"there is no command {words[0]} yet")
    with stopping(STOPPED_BY.get(kind), place.folder / "run"):
        outcome = cmirnet(*words, "--json")
    met = outcome.data["error"]
    assert (met["kind"], met["exit_code"], outcome.code) == (kind.__name__, kind.exit_code, kind.exit_code)
    assert met["message"]
    assert met["hint"]
    assert json.dumps(met).count("Traceback") == 0


def test_no_error_is_left_out():
    assert {kind for kind, _ in family(errors.CmirnetError)} == {*PROVOKED, *FAMILY_NAMES}
