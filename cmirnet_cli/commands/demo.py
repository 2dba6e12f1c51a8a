"""`cmirnet demo`."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import CmirnetError, UsageError
from cmirnet_cli.options import Device, Overwrite

SCENES = {"train": 1200, "val": 40, "test": 150}
EXPRESSION = "the leftmost shape"
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

    Example: cmirnet demo
    """
    started = time.monotonic()
    make_room(out, overwrite)
    _draw_scenes(out / "data")
    for command in _commands(out, device):
        run_command(command)
    _show(out, time.monotonic() - started)


def make_room(out: Path, overwrite: bool) -> None:
    """Refuse to mix with an earlier demo, or take away what that one made; never anything else.

    Raises:
        UsageError: the folder holds something that is not a demo's, or a demo that may not be replaced.
    """
    from cmirnet_cli.files import require_free, write_text

    if (out / MARKER).is_file():
        require_free([out], overwrite=overwrite)
    elif out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} is there and no demo made it", hint="choose another folder with --out")
    write_text(out / MARKER, "`cmirnet demo --overwrite` replaces what the demo has put here.\n")
    for made in (out / name for name in MADE):
        if made.is_dir() and not made.is_symlink():
            shutil.rmtree(made)
        else:
            made.unlink(missing_ok=True)


def _draw_scenes(data: Path) -> None:
    from cmirnet_cli.scenes import write_scenes

    total = sum(SCENES.values())
    console.notice(f"\ndrawing {total:,} scenes with expressions about them into {data / 'scenes'}")
    with console.progress("draw scenes", total) as advance:
        write_scenes(data, images=SCENES, advance=advance)


def _commands(out: Path, device: str) -> list[list[str]]:
    """The real commands, word by word."""
    data, cache, run = str(out / "data"), str(out / "cache"), str(out / "run")
    images, on = str(out / "data" / "scenes" / "images" / "test"), ["--device", device]
    results = ["--out", str(out / "scores"), "--report", str(out / "report.html")]
    return [
        ["prepare-data", "scenes", "--split-by", "demo", "--data", data, "--out", cache, "--size", "96"],
        ["train", "--preset", "demo", "--cache", cache, "--run-dir", run, *on],
        ["eval", run, "--cache", cache, "--split", "test", "--control", "shuffled-text", *results, *on],
        ["predict", run, images, "-e", EXPRESSION, "--out", str(out / "predictions"), "--gallery", *on],
    ]


def run_command(command: Sequence[str]) -> None:
    """Run a command of ours in a process of its own, as a user would, and say what is run; what it prints goes to stderr.

    Raises:
        CmirnetError: it ended with another code than 0.
    """
    console.notice(f"\n$ {shlex.join(['cmirnet', *command])}")
    quiet, output = (["--quiet"], subprocess.DEVNULL) if console.quiet else ([], sys.stderr)
    code = subprocess.run([sys.executable, "-m", "cmirnet_cli", *command, *quiet], check=False, stdout=output).returncode
    if code:
        raise CmirnetError(f"cmirnet {command[0]} ended with code {code}", hint="mend what it says above, and start again")


def _show(out: Path, seconds: float) -> None:
    gallery, report, weights = out / "predictions" / "gallery.html", out / "report.html", out / "run/weights/best"
    scores = json.loads((out / "scores" / "scores.json").read_text(encoding="utf-8"))["splits"]["test"]["paper"]
    again = ["predict", out / "run", out / "data/scenes/images/test", "-e", "the small red circle", "--out", "my-masks", "--overlay"]
    iou, control = scores["overall_iou"], scores["control"]["shuffled-text"]["overall_iou"]
    result = {"seconds": seconds, "overall_iou": iou, "control_overall_iou": control}
    console.result(
        {**result, "gallery": gallery, "report": report, "weights": weights},
        f"\nOn {scores['sentences']} sentences about scenes it has never seen, overall IoU is {iou:.1f};",
        f"asked with the sentences of other objects, the same weights reach {control:.1f}: they read the words.",
        f"The demo took {int(seconds // 60)} min {int(seconds % 60)} s.\n",
        f"gallery  {gallery}",
        f"report   {report}",
        f"weights  {weights}",
        f"\nTry it:  {shlex.join(['cmirnet', *map(str, again)])}",
    )
