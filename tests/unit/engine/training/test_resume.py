"""A run that was stopped, killed or made longer ends bit for bit like one that was left alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import runpy
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.training.callbacks import Callback, EpochReport, StepReport
from cmirnet_cli.engine.training.checkpoints import Progress, TrainingState, read_state, save_checkpoint
from cmirnet_cli.engine.training.loop import Trainer
from cmirnet_cli.engine.training.run_directory import RunDirectory, newest_checkpoint
from cmirnet_cli.engine.training.start import resumed_trainer, starting_bundle
from cmirnet_cli.errors import ConfigError, DataError, InterruptedRunError, StoppedError, TerminatedRunError, UsageError, WeightsError
from cmirnet_cli.weights.bundle import load_bundle

RECIPE: dict[str, dict[str, Any]] = {
    "model": {"backbone": "swin-nano", "fusion_width": 32, "text_width": 24, "drop_path": 0.3},
    "text": {"source": "scratch", "scratch_layers": 1, "train": "all", "dropout": True},
    "data": {"image_size": 64, "resize": 72, "workers": 0},
    "optimizer": {"lr": 1e-3},
    "schedule": {"epochs": 2},
    "loop": {"batch_size": 2, "backbone_weights": "none", "ema_decay": 0.9},
}
STEPS = 6
"""Of the whole run: three an epoch."""

CPU = torch.device("cpu")
TIMINGS = ("seconds", "samples_per_second", "data_wait", "memory_gib")
SCRIPT = Path(__file__).with_name("train_once.py")


def settings(**changes: dict[str, object]) -> Settings:
    return Settings.model_validate(RECIPE | {name: RECIPE.get(name, {}) | values for name, values in changes.items()})


class At:
    """Does something once a step was taken."""

    def __init__(self, step: int, action: Callable[[], object]) -> None:
        self.at, self.action = step, action

    def step(self, report: StepReport) -> None:
        if report.step == self.at:
            self.action()

    def epoch(self, report: EpochReport) -> None:
        pass


def stop_after(step: int, number: signal.Signals = signal.SIGTERM, pause: float = 0) -> At:
    """Asks for a stop, as a scheduler or a person would, once a step was taken."""
    return At(step, lambda: (time.sleep(pause), os.kill(os.getpid(), number)))


def begin(folder: Path, cache: Cache, chosen: Settings, *callbacks: Callback) -> RunDirectory:
    directory = RunDirectory.create(folder, chosen, cache.manifest.fingerprint.key)
    Trainer(starting_bundle(chosen, cache), chosen, cache, CPU).run(directory, callbacks)
    return directory


def go_on(folder: Path, cache: Cache, chosen: Settings, *callbacks: Callback) -> RunDirectory:
    directory = RunDirectory.open(folder)
    trainer = resumed_trainer(directory, chosen, cache, CPU)
    directory.rewind(trainer.steps_taken, trainer.progress.epoch, chosen)
    trainer.run(directory, callbacks)
    return directory


def final_state(run: Path) -> TrainingState:
    checkpoint = newest_checkpoint(run / "checkpoints")
    assert checkpoint is not None
    return read_state(checkpoint)


def metrics(run: Path) -> list[dict[str, Any]]:
    """What metrics.jsonl says, but for how long it took."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMINGS} for line in lines]


def assert_same(ours: Any, theirs: Any, where: str = "") -> None:
    """Bit for bit, however deep the tensors lie."""
    if isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs), where
    elif isinstance(ours, Mapping):
        assert ours.keys() == theirs.keys(), where
        for name in ours:
            assert_same(ours[name], theirs[name], f"{where}.{name}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), where
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{where}[{number}]")
    else:
        assert ours == theirs, where


def assert_same_run(ours: Path, theirs: Path, *, finished: bool = True) -> None:
    """Weights of all kinds, optimiser, random numbers, best score and every reported number are the same bit for bit."""
    assert metrics(ours) == metrics(theirs)
    state, expected = final_state(ours), final_state(theirs)
    for name in ("step", "optimizer", "averaged", "random", "scaler"):
        assert_same(getattr(state, name), getattr(expected, name), name)
    assert (state.progress.epoch, state.progress.best) == (expected.progress.epoch, expected.progress.best)
    for weights in (*(("weights/last", "weights/best") if finished else ()), f"checkpoints/{newest_checkpoint(ours / 'checkpoints').name}"):
        assert_same(load_bundle(ours / weights).model.state_dict(), load_bundle(theirs / weights).model.state_dict(), weights)


@pytest.fixture(scope="module")
def undisturbed(small_cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begin(tmp_path_factory.mktemp("undisturbed") / "run", small_cache, settings()).folder


@pytest.fixture(scope="module")
def stopped_run(small_cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after its first step."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(StoppedError):
        begin(folder, small_cache, settings(), stop_after(1))
    return folder


@pytest.fixture
def stopped(stopped_run: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(stopped_run, tmp_path / "stopped"))


@pytest.mark.parametrize(
    ("after", "number", "kind", "code"),
    [
        pytest.param(1, signal.SIGTERM, TerminatedRunError, 143, marks=pytest.mark.slow),
        (3, signal.SIGINT, InterruptedRunError, 130),
        (5, signal.SIGTERM, TerminatedRunError, 143),
    ],
)
def test_run_that_is_stopped_and_resumed_is_the_undisturbed_one(
    undisturbed: Path, small_cache: Cache, tmp_path: Path, after: int, number: signal.Signals, kind: type[StoppedError], code: int
):
    """With processes that load ahead, and so know samples of steps that were not taken; without them the next test stops everywhere."""
    chosen, run, before = settings(data={"workers": 2}), tmp_path / "run", signal.getsignal(number)
    with pytest.raises(kind, match=f"stopped after step {after}; the state is saved") as caught:
        begin(run, small_cache, chosen, stop_after(after, number))
    assert caught.value.exit_code == code
    assert caught.value.hint == f"continue with: cmirnet train --resume {run}"
    assert signal.getsignal(number) is before
    assert final_state(run).step == after
    go_on(run, small_cache, chosen)
    assert_same_run(run, undisturbed)
    assert [resumed["step"] for resumed in json.loads((run / "env.json").read_text())["resumed"]] == [after]
    assert f"resumed after step {after}" in (run / "train.log").read_text()
    assert (run / "metrics.csv").read_text().count("\n") == 3


@pytest.mark.slow
def test_run_that_is_stopped_after_every_step_is_the_undisturbed_one(undisturbed: Path, stopped: Path, small_cache: Cache):
    for step in range(2, STEPS + 1):
        with pytest.raises(StoppedError):
            go_on(stopped, small_cache, settings(), stop_after(step))
    go_on(stopped, small_cache, settings())
    assert_same_run(stopped, undisturbed)


def test_random_numbers_matter_to_the_runs_compared_here(undisturbed: Path, small_cache: Cache):
    """The same weights, but other orders, drops and dropout."""
    bundle = starting_bundle(settings(), small_cache)
    other = Trainer(bundle, settings(loop={"seed": 1}), small_cache, CPU)
    assert next(other.steps()).loss != metrics(undisturbed)[0]["loss"]


def test_ctrl_c_that_arrives_twice_at_once_is_one(small_cache: Cache, tmp_path: Path):
    with pytest.raises(InterruptedRunError, match="stopped after step 1; the state is saved"):
        begin(tmp_path / "run", small_cache, settings(), stop_after(1, signal.SIGINT), stop_after(1, signal.SIGINT))


def test_second_ctrl_c_does_not_wait(small_cache: Cache, tmp_path: Path):
    first, second = stop_after(1, signal.SIGINT), stop_after(1, signal.SIGINT, pause=1.1)
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "run", small_cache, settings(), first, second)


def test_run_may_grow(small_cache: Cache, tmp_path: Path, undisturbed: Path):
    short = begin(tmp_path / "run", small_cache, settings(schedule={"epochs": 1}))
    go_on(short.folder, small_cache, settings())
    assert_same_run(short.folder, undisturbed)
    assert RunDirectory.open(short.folder).settings() == settings()


def test_run_may_not_shrink(undisturbed: Path, small_cache: Cache):
    with pytest.raises(ConfigError, match=r"schedule\.epochs was 2, now 1"):
        resumed_trainer(RunDirectory.open(undisturbed), settings(schedule={"epochs": 1}), small_cache, CPU)


def test_changed_settings_are_refused_by_name_with_both_values(undisturbed: Path, small_cache: Cache):
    changed = settings(optimizer={"lr": 2e-3}, data={"flip": True})
    with pytest.raises(ConfigError, match=r"data\.flip was False, now True, optimizer\.lr was 0\.001, now 0\.002") as caught:
        resumed_trainer(RunDirectory.open(undisturbed), changed, small_cache, CPU)
    assert "--init-from" in caught.value.hint


def test_settings_changed_in_the_runs_own_file_are_refused_too(stopped: Path, small_cache: Cache):
    (stopped / "config.yaml").write_text((stopped / "config.yaml").read_text().replace("lr: 0.001", "lr: 0.002"))
    with pytest.raises(ConfigError, match=r"optimizer\.lr was 0\.001, now 0\.002"):
        resumed_trainer(RunDirectory.open(stopped), RunDirectory.open(stopped).settings(), small_cache, CPU)


def test_other_data_are_refused_with_both_fingerprints(undisturbed: Path, small_cache: Cache, tmp_path: Path):
    directory = RunDirectory.create(tmp_path / "run", settings(), "f" * 64)
    now = small_cache.manifest.fingerprint.key[:12]
    with pytest.raises(DataError, match=f"data of fingerprint ffffffffffff, .* has {now}"):
        resumed_trainer(directory, settings(), small_cache, CPU)


def test_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"is not a run directory: it has no config\.yaml"):
        RunDirectory.open(tmp_path)


@pytest.mark.parametrize("kept", [0, 100, -100])
def test_truncated_checkpoint_is_refused_by_name(stopped: Path, small_cache: Cache, kept: int):
    state = next((stopped / "checkpoints").glob("*/state.pt"))
    state.write_bytes(state.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"state\.pt") as caught:
        resumed_trainer(RunDirectory.open(stopped), settings(), small_cache, CPU)
    assert f"--init-from {state.parent}" in str(caught.value.hint)


def test_run_without_a_checkpoint_starts_from_the_beginning(stopped_run: Path, small_cache: Cache, tmp_path: Path):
    run = tmp_path / "run"
    RunDirectory.create(run, settings(), small_cache.manifest.fingerprint.key)
    (run / "metrics.jsonl").write_text('{"kind": "step", "epoch": 1, "step": 1, "lo')
    with pytest.raises(StoppedError):
        go_on(run, small_cache, settings(), stop_after(1))
    assert_same_run(run, stopped_run, finished=False)


@pytest.mark.parametrize("room", [pytest.param(10_000_000, id="weights", marks=pytest.mark.slow), pytest.param(20_000_000, id="state")])
def test_run_that_finds_no_room_for_a_checkpoint_says_so_and_keeps_the_older_one(
    undisturbed: Path, small_cache: Cache, tmp_path: Path, room: int
):
    chosen = settings(loop={"checkpoint_every": 1})
    with pytest.raises(WeightsError, match=r"cannot write .*epoch-0000-step-00000002: .*File too large"), file_size_limit() as limit:
        begin(tmp_path / "run", small_cache, chosen, At(2, lambda: limit(room)))
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["epoch-0000-step-00000001"]
    go_on(tmp_path / "run", small_cache, chosen)
    assert_same_run(tmp_path / "run", undisturbed)


def test_a_checkpoint_is_written_without_a_copy_of_its_tensors_in_memory(undisturbed: Path, tmp_path: Path):
    moment = torch.ones(3, requires_grad=True) * 2  # torch refuses to copy a tensor that was computed with gradients
    state = TrainingState(1, Progress(losses=[0.5]), {}, "abc", {"state": {0: {"exp_avg": moment}}}, None, None, [])
    save_checkpoint(tmp_path, load_bundle(undisturbed / "weights" / "last"), state)
    read = read_state(tmp_path / "epoch-0000-step-00000001")
    assert torch.equal(read.optimizer["state"][0]["exp_avg"], torch.full((3,), 2.0))
    assert read.progress == Progress(losses=[0.5])


@contextmanager
def file_size_limit() -> Iterator[Callable[[int], None]]:
    """Lets the block limit how large a file of this process may become, in bytes: as good as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_other_number_of_threads_is_worth_a_word(stopped_run: Path, small_cache: Cache):
    torch.set_num_threads(2)
    lines: list[str] = []
    resumed_trainer(RunDirectory.open(stopped_run), settings(), small_cache, CPU, lines.append)
    torch.set_num_threads(1)
    assert "the run started with 1 threads on the CPU and continues with 2: numbers agree within rounding" in lines


def test_finished_run_that_is_resumed_has_nothing_left_to_do(undisturbed: Path, small_cache: Cache, tmp_path: Path):
    run = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    go_on(run, small_cache, settings())
    assert_same_run(run, undisturbed)


def test_only_the_newest_checkpoint_is_kept(undisturbed: Path):
    assert [path.name for path in (undisturbed / "checkpoints").iterdir()] == ["epoch-0002-step-00000006"]


@pytest.fixture(scope="module")
def start() -> Callable[..., list[BaseProcess]]:
    """Starts the processes of a run; torch is imported once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cmirnet_cli.engine.training.start", "torchvision.transforms.v2"])

    def started(folder: Path, cache: Cache, chosen: Settings, processes: int = 1, stop_after: int | None = None) -> list[BaseProcess]:
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
        told = chosen.model_dump(mode="json")
        job = {"folder": folder, "cache": cache.folder, "settings": told, "resume": folder.exists(), "stop_after": stop_after}
        made = []
        for rank in range(processes):
            environment = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(processes)} if processes > 1 else {}
            made.append(context.Process(target=runpy.run_path, args=(str(SCRIPT), {"job": job | {"environment": environment}})))
        for process in made:
            process.start()
        return made

    return started


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def ended(processes: list[BaseProcess]) -> list[int | None]:
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


@pytest.mark.slow
def test_two_processes_that_are_stopped_and_resumed_are_two_that_were_left_alone(
    start: Callable[..., list[BaseProcess]], small_cache: Cache, tmp_path: Path
):
    chosen = settings(data={"workers": 2})
    alone, disturbed = tmp_path / "alone", tmp_path / "disturbed"
    assert ended(start(alone, small_cache, chosen, processes=2)) == [0, 0]
    assert ended(start(disturbed, small_cache, chosen, processes=2, stop_after=2)) != [0, 0]
    assert final_state(disturbed).step in (2, 3)
    assert len(final_state(disturbed).random) == 2
    assert ended(start(disturbed, small_cache, chosen, processes=2)) == [0, 0]
    assert_same_run(disturbed, alone)


@pytest.mark.slow
def test_other_number_of_processes_is_refused(start: Callable[..., list[BaseProcess]], small_cache: Cache, tmp_path: Path):
    ended(start(tmp_path / "run", small_cache, settings(), processes=2, stop_after=1))
    with pytest.raises(ConfigError, match="started with 2 processes and cannot continue with 1") as caught:
        resumed_trainer(RunDirectory.open(tmp_path / "run"), settings(), small_cache, CPU)
    assert caught.value.hint.startswith("start 2 processes in all, e.g. torchrun --nproc-per-node 2 on one machine")


@pytest.mark.slow
def test_run_that_is_killed_at_twenty_random_moments_is_the_undisturbed_one(
    start: Callable[..., list[BaseProcess]], small_cache: Cache, tmp_path: Path
):
    chosen = settings(loop={"checkpoint_every": 1})
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    began = time.monotonic()
    assert ended(start(alone, small_cache, chosen)) == [0]
    longest, moments, kills = time.monotonic() - began, random.Random(20), 0
    while kills < 20:
        [process] = start(killed, small_cache, chosen)
        process.join(moments.uniform(0, longest))
        if process.is_alive():
            process.kill()
            kills += 1
        elif kills < 20:
            assert process.exitcode == 0
            assert_same_run(killed, alone)
            killed = tmp_path / f"killed-{kills}"
        process.join()
    assert ended(start(killed, small_cache, chosen)) == [0]
    assert_same_run(killed, alone)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["checkpoints", "weights"])
def test_run_that_is_killed_while_it_writes_is_the_undisturbed_one(
    start: Callable[..., list[BaseProcess]], undisturbed: Path, small_cache: Cache, tmp_path: Path, place: str
):
    run = tmp_path / "run"
    [process] = start(run, small_cache, settings())
    while process.is_alive() and not list((run / place).glob(".cmirnet-*")):
        pass
    process.kill()
    process.join()
    assert ended(start(run, small_cache, settings())) == [0]
    assert_same_run(run, undisturbed)
    assert not list(run.rglob(".cmirnet-*"))


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd", "options": {"momentum": 0.9, "nesterov": True}, "decay_all": False},
    "lion": {"name": "lion"},
    "muon": {"name": "muon"},
    "adamw": {"name": "adamw", "layer_decay": 0.7},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_run_with_another_optimizer_schedule_loss_and_backbone_resumes_exactly(small_cache: Cache, tmp_path: Path, optimizer: str):
    chosen = settings(
        model={"backbone": "timm/test_convnext2"},
        optimizer=OPTIMIZERS[optimizer],
        schedule={"name": "cosine", "options": {"warmup_epochs": 1, "warmup_lr": 1e-5}},
        loss={"terms": {"cross_entropy": 1.0, "dice": 0.5}},
    )
    undisturbed = begin(tmp_path / "undisturbed", small_cache, chosen).folder
    with pytest.raises(StoppedError):
        begin(tmp_path / "stopped", small_cache, chosen, stop_after(2))
    for step in (3, 5):
        with pytest.raises(StoppedError):
            go_on(tmp_path / "stopped", small_cache, chosen, stop_after(step))
    go_on(tmp_path / "stopped", small_cache, chosen)
    assert_same_run(tmp_path / "stopped", undisturbed)
