"""`cmirnet demo`."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import CmirnetError, InterruptedRunError, StoppedError, TerminatedRunError, UsageError
from cmirnet_cli.options import Device, Overwrite

SCENES = {"train": 1200, "val": 40, "test": 150}
DATASET, SPLIT_BY, PRESET = "scenes", "demo", "demo"
STOPPED: dict[int, type[StoppedError]] = {each.exit_code: each for each in (InterruptedRunError, TerminatedRunError)}
MARKER = ".cmirnet-demo"
"""The file that tells a folder of the demo from any other."""
MADE = ("data", "cache", "run", "scores", "report.html", "predictions", "gallery.png")
"""All that a demo has ever put into its folder; version 0.1.0 drew gallery.png."""


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for everything the demo makes.")] = Path("demo"),
    device: Device = "cpu",
    overwrite: Overwrite = False,
) -> None:
    """Draw scenes, prepare, train, evaluate and predict: the whole pipeline in a few minutes, offline.

    Ctrl-C saves; the same command continues. A finished demo is shown again; --overwrite starts over.

    Example: cmirnet demo
    """
    started = time.monotonic()
    begun = begin(out, overwrite)
    _draw_scenes(out / "data")
    steps = 0
    for words in commands_left(out, device):
        run_command(words, shlex.join(["cmirnet", "demo", *(["--out", str(out)] if out != Path("demo") else [])]))
        steps += 1
    if not steps:
        console.notice(f"the demo in {out} is finished; --overwrite starts over")
    _show(out, None if begun else time.monotonic() - started)


def begin(out: Path, overwrite: bool) -> bool:
    """Whether an earlier demo in the folder is continued; `overwrite` takes away what that one made, and never anything else.

    Raises:
        UsageError: the folder holds something that is not a demo's.
    """
    from cmirnet_cli.files import write_text

    begun = (out / MARKER).is_file()
    if not begun and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} exists and was not made by the demo", hint="choose another folder with --out")
    write_text(out / MARKER, "`cmirnet demo` continues here; `cmirnet demo --overwrite` replaces the demo's files.\n")
    for made in (out / name for name in (MADE if overwrite else ())):
        if made.is_dir() and not made.is_symlink():
            shutil.rmtree(made)
        else:
            made.unlink(missing_ok=True)
    return begun and not overwrite


def _draw_scenes(data: Path) -> None:
    """Draw the data set, which appears whole or not at all, where it is not there yet."""
    from cmirnet_cli.scenes import write_scenes

    if (data / DATASET).is_dir():
        return
    total = sum(SCENES.values())
    console.notice(f"\ndrawing {total:,} scenes with expressions about them into {data / DATASET}")
    with console.progress("draw scenes", total) as advance:
        write_scenes(data, dataset=DATASET, split_by=SPLIT_BY, images=SCENES, advance=advance)


def commands_left(out: Path, device: str) -> Iterator[list[str]]:
    """The real commands that are still to be run, word by word; each is looked for when the one before it has ended."""
    from cmirnet_cli.cache.schema import MANIFEST, cache_name

    data, cache, run = (str(out / name) for name in ("data", "cache", "run"))
    report, predictions, on = out / "report.html", out / "predictions", ["--device", device]
    if not (out / "cache" / cache_name(DATASET, SPLIT_BY) / MANIFEST).is_file():
        yield ["prepare-data", DATASET, "--split-by", SPLIT_BY, "--data", data, "--out", cache, "--for", PRESET]
    if not (out / "run").exists():
        yield ["train", "--preset", PRESET, "--cache", cache, "--run-dir", run, *on]
    elif not _is_trained(out / "run"):
        yield ["train", "--resume", run, *on]
    if not report.is_file():
        results = ["--out", str(out / "scores"), "--report", str(report), "--overwrite"]
        yield ["eval", run, "--cache", cache, "--split", "test", "--control", "shuffled-text", *results, *on]
    if not (predictions / "gallery.html").is_file():
        pairs = ["--pairs", str(write_pairs(out / "data"))]
        yield ["predict", run, *pairs, "--out", str(predictions), "--gallery", "--skip-existing", *on]


def run_command(command: Sequence[str], again: str) -> None:
    """Say what is run as it would be typed, and run it in a process of its own; what it prints goes to stderr: it is not the demo's result.

    A request to stop is passed on, and the process is waited for: it saves first.

    Args:
        command: the words after `cmirnet`.
        again: the command that goes on after a stop.

    Raises:
        CmirnetError: it ended with another code than 0.
        StoppedError: Ctrl-C or SIGTERM was received.
    """
    console.notice(f"\n$ {shlex.join(['cmirnet', *command])}")
    words = [sys.executable, "-m", "cmirnet_cli", *command, *(["--quiet"] if console.quiet else [])]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL if console.quiet else sys.stderr) as process:

        def pass_on(number: int, frame: FrameType | None) -> None:
            if number == signal.SIGTERM or not sys.stdin.isatty():  # a terminal's Ctrl-C has reached the process already
                process.send_signal(number)

        before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if code in STOPPED:
        raise STOPPED[code](f"stopped during cmirnet {command[0]}", hint=f"continue the demo with: {again}")
    if code:
        raise CmirnetError(
            f"cmirnet {command[0]} ended with code {code}", hint=f"fix the error above, then continue the demo with: {again}"
        )


def _is_trained(run: Path) -> bool:
    from cmirnet_cli.engine.training.run_directory import RunDirectory

    directory = RunDirectory.open(run)
    return [report.epoch for report in directory.epochs()][-1:] == [directory.settings().schedule.epochs]


def write_pairs(data: Path) -> Path:
    """The test scenes, each with a sentence about each of its referents, as a list for `predict --pairs`."""
    from cmirnet_cli.files import write_text
    from cmirnet_cli.refer.layout import Places
    from cmirnet_cli.refer.sources import read_source

    referents = [each for each in read_source(DATASET, SPLIT_BY, Places(data)).referents if each.split == "test"]
    lines = [
        {"image": str(each.image.path.absolute().relative_to(data.absolute())), "expression": each.sentences[0].text} for each in referents
    ]
    pairs = data / "test.jsonl"
    write_text(pairs, "".join(json.dumps(line) + "\n" for line in lines))
    return pairs


def _show(out: Path, seconds: float | None) -> None:
    """What came of it; `seconds` is what a demo took that was made at one go."""
    gallery, report, weights = out / "predictions" / "gallery.html", out / "report.html", out / "run/weights/best"
    scores = json.loads((out / "scores" / "scores.json").read_text(encoding="utf-8"))["splits"]["test"]["paper"]
    first = json.loads((out / "data" / "test.jsonl").read_text(encoding="utf-8").partition("\n")[0])
    photo, expression = out / "data" / first["image"], first["expression"]
    again = ["predict", out / "run", photo, "-e", expression, "--out", "my-masks", "--overlay"]
    iou, control = scores["overall_iou"], scores["control"]["shuffled-text"]["overall_iou"]
    took = "" if seconds is None else f"The demo took {int(seconds // 60)} min {int(seconds % 60)} s.\n"
    console.result(
        {"seconds": seconds, "overall_iou": iou, "control_overall_iou": control, "gallery": gallery, "report": report, "weights": weights},
        f"\nOn {scores['sentences']} sentences about scenes it has never seen, overall IoU is {iou:.1f} of 100;",
        f"with the sentences of other objects, the same weights reach {control:.1f}: they read the words.",
        took,
        f"gallery  {gallery}",
        f"report   {report}",
        f"weights  {weights}",
        f"\nTry it:  {shlex.join(['cmirnet', *map(str, again)])}",
    )
