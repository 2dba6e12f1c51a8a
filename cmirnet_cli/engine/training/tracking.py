"""Trackers of accelerate's (TensorBoard, Weights & Biases, MLflow, trackio, …) hear of a run. Light: imports no torch."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cmirnet_cli.engine.training.callbacks import Callback, EpochReport, StepReport
from cmirnet_cli.errors import CmirnetError, UsageError, first_line
from cmirnet_cli.files import write_text

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

    from cmirnet_cli.config import Settings
    from cmirnet_cli.engine.training.examples import Example

PACKAGES: Mapping[str, str] = MappingProxyType({"comet_ml": "comet-ml"})
"""What pip calls the package of a tracker, where it has another name than the tracker."""

PROJECT = "cmirnet"
"""What runs are gathered under, where no variable such as `WANDB_PROJECT` names something else."""

RECORD = "trackers.json"
"""The file of a run directory that says under which identity each tracker knows the run."""

OFFLINE = "WANDB_MODE=offline, MLFLOW_TRACKING_URI=sqlite:///mlflow.db"

Notice = Callable[[str], None]
Examples = Callable[[], "Sequence[Example]"]


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers whose packages are not installed.

    Raises:
        UsageError: names all of them, and the command that installs them.
    """
    if missing := [name for name in names if not _installed(name)]:
        packages = " ".join(PACKAGES.get(name, name) for name in missing)
        raise UsageError(f"not installed: {', '.join(missing)}, which loop.track names", hint=f"pip install {packages}")


def _installed(name: str) -> bool:
    """Whether there is such a package; a folder of its name, such as wandb makes in the working directory, does not count."""
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None


@contextmanager
def tracked(settings: Settings, run: Path, taken: int, examples: Examples, notice: Notice) -> Iterator[list[Callback]]:
    """The callback that tells a run's trackers of it, from their start to their end; none where no tracker is asked for.

    Args:
        settings: the whole recipe, which each tracker is given when it first hears of the run.
        run: the run directory.
        taken: steps that a resumed run has behind it; TensorBoard hides those that come again.
        examples: sentences of val with the masks that the network gives now.
        notice: is called with what trackers print, and when one fails.

    Raises:
        CmirnetError: a tracker cannot be started: nobody is logged in, or its server cannot be reached.
    """
    trackers: dict[str, GeneralTracker] = {}
    callback = Tracked(trackers, examples, notice)
    try:
        for name in settings.loop.trackers:
            trackers[name] = _started(name, settings, run, taken, notice)
        yield [callback] if trackers else []
    finally:
        callback.finish()


class Tracked:
    """A `Callback` that sends a run's numbers and pictures to trackers. Where one fails, the run goes on without it."""

    def __init__(self, trackers: dict[str, GeneralTracker], examples: Examples, notice: Notice) -> None:
        self._trackers, self._examples, self._notice = trackers, examples, notice

    def step(self, report: StepReport) -> None:
        """All numbers of the step, below `train/`."""
        self._log(_numbers("train", report), report.step)

    def epoch(self, report: EpochReport) -> None:
        """The validation's scores below `val/`, with examples; the other numbers of the epoch below `epoch/`."""
        numbers = _numbers("epoch", report)
        scores = {name: numbers.pop(name) for name in ("epoch/overall_iou", "epoch/mean_iou") if name in numbers}
        self._log(numbers | {name.replace("epoch", "val"): score for name, score in scores.items()}, report.step)
        takers = [name for name in self._trackers if name in _SHOW]
        if scores and takers:
            for number, example in enumerate(self._examples(), 1):
                for name in takers:
                    self._send(name, partial(_SHOW[name], f"example-{number}", example, report.step))

    def finish(self) -> None:
        """Let the trackers send what is left."""
        for name in list(self._trackers):
            self._send(name, _finish)

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        for name in list(self._trackers):
            self._send(name, lambda tracker: tracker.log(dict(numbers), step=step))

    def _send(self, name: str, call: Callable[[GeneralTracker], object]) -> None:
        if name not in self._trackers:
            return
        try:
            with _told(self._notice):
                call(self._trackers[name])
        except Exception as problem:  # of whatever class: a tracker must not end a run of many hours
            del self._trackers[name]
            self._notice(f"{name} failed, and the run continues without it: {first_line(problem)}")


def _started(name: str, settings: Settings, run: Path, taken: int, notice: Notice) -> GeneralTracker:
    """A tracker that knows the run: under the identity that it gave it before, if it did."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    record = run / RECORD
    known: dict[str, str] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    title = f"{run.parent.name}-{run.name}" if run.name.startswith("seed-") else run.name
    identity = known.get(name) or f"{title}-{secrets.token_hex(4)}"
    project = os.environ.get(f"{name.upper()}_PROJECT", PROJECT)
    place: dict[str, tuple[Sequence[object], dict[str, object]]] = {
        "tensorboard": (("tensorboard", run), {"purge_step": taken + 1}),
        "wandb": ((project,), {"dir": run, "name": title, "id": identity, "resume": "allow"}),
        "mlflow": ((project,), {"run_name": title, "run_id": known.get(name)}),
        "trackio": ((project,), {"name": identity, "resume": "allow", "embed": False}),
        "aim": ((title, run), {"run_hash": known.get(name), "experiment": project}),
        "dvclive": ((), {"dir": str(run / "dvclive"), "resume": name in known}),
        "clearml": ((project,), {"task_name": title}),
        "swanlab": ((project,), {"name": title, "log_dir": str(run / "swanlab")}),
    }
    arguments, options = place.get(name, ((project,), {}))
    try:
        with _told(notice):
            tracker: GeneralTracker = LOGGER_TYPE_TO_CLASS[name](*arguments, **options)
            tracker.start()
            if name not in known:
                tracker.store_init_configuration(_flat(settings.model_dump(mode="json")))
                known[name] = _OWN_IDENTITY.get(name, lambda tracker: identity)(tracker.tracker)
                write_text(record, json.dumps(known, indent=2) + "\n")
    except Exception as problem:  # of whatever class
        hint = f"log in to it, work offline ({OFFLINE}), or leave it out of --track; continue with: cmirnet train --resume {run}"
        raise CmirnetError(f"{name} cannot be started: {first_line(problem)}", hint=hint) from problem
    return tracker


@contextmanager
def _told(notice: Notice) -> Iterator[None]:
    """What a tracker prints is not a result: each line becomes a notice."""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    finally:
        for line in filter(str.strip, said.getvalue().splitlines()):
            notice(re.sub(r"\x1b\[[0-9;]*m", "", line))


def _numbers(group: str, report: StepReport | EpochReport) -> dict[str, float]:
    """The numbers of a report but its step, by the names under which a tracker draws them; those that it has not are left out."""
    fields = {name: value for name, value in asdict(report).items() if name not in ("step", "best")}
    return {f"{group}/{name}": value for name, value in _flat(fields).items() if isinstance(value, (int, float))}


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested names joined by dots; everything but numbers, truth values and text as text."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return flat


_OWN_IDENTITY: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {"mlflow": lambda tracker: tracker.info.run_id, "aim": lambda tracker: tracker.hash}
)
"""Of the trackers that name a run themselves."""


def _finish(tracker: Any) -> None:
    if tracker.name == "trackio":  # whose run would else finish, and say so, once more when the program ends
        import trackio

        trackio.finish()
    else:
        tracker.finish()


def _show_in_tensorboard(name: str, example: Example, step: int, tracker: Any) -> None:
    tracker.log_images({f"val/{name} {example.sentence}": example.picture[None]}, step=step, dataformats="NHWC")


def _show_in_wandb(name: str, example: Example, step: int, tracker: Any) -> None:
    import wandb

    tracker.log({f"val/{name}": wandb.Image(example.picture, caption=example.sentence)}, step=step)


def _show_in_trackio(name: str, example: Example, step: int, tracker: Any) -> None:
    import trackio

    tracker.log({f"val/{name}": trackio.Image(example.picture, caption=example.sentence)}, step=step)


def _show_in_mlflow(name: str, example: Example, step: int, tracker: Any) -> None:
    import mlflow

    mlflow.log_image(example.picture, key=re.sub(r"[^\w .-]", "_", f"{name} {example.sentence}", flags=re.ASCII), step=step)


_SHOW: Mapping[str, Callable[[str, Example, int, Any], None]] = MappingProxyType(
    {"tensorboard": _show_in_tensorboard, "wandb": _show_in_wandb, "trackio": _show_in_trackio, "mlflow": _show_in_mlflow}
)
"""How the trackers that take pictures are given one."""
