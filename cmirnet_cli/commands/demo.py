"""`cmirnet demo`."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import Device, Overwrite

if TYPE_CHECKING:
    from cmirnet_cli.reports.sheet import Cell

SCENES = {"train": 1200, "val": 40, "test": 150}
SHOWN = 12
COLUMNS = 4
ASKED = "the leftmost shape"


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for everything the demo makes.")] = Path("demo"),
    device: Device = "cpu",
    overwrite: Overwrite = False,
) -> int:
    """Draw scenes, prepare, train, evaluate and predict: the whole pipeline in a few minutes, offline.

    Example: cmirnet demo
    """
    started = time.monotonic()
    _make_room(out, overwrite)
    _draw_scenes(out / "data")
    for command in _commands(out, device):
        if code := _run(command):
            return code
    _show(out, _draw_gallery(out, device), time.monotonic() - started)
    return 0


def _make_room(out: Path, overwrite: bool) -> None:
    """Refuse to mix with an earlier demo, or take that one away; never anything else."""
    from cmirnet_cli.reports.files import require_free

    require_free([out], overwrite=overwrite and (out / "data" / "scenes").is_dir())
    shutil.rmtree(out, ignore_errors=True)


def _draw_scenes(data: Path) -> None:
    from cmirnet_cli.refer.scenes import write_scenes

    total = sum(SCENES.values())
    console.notice(f"\ndrawing {total:,} scenes with expressions about them into {data / 'scenes'}")
    with console.progress("draw scenes", total) as advance:
        write_scenes(data, images=SCENES, advance=advance)


def _commands(out: Path, device: str) -> list[str]:
    """The real commands, as one would type them."""
    data, cache, run = out / "data", out / "cache", out / "run"
    return [
        f"prepare-data scenes --split-by demo --data {data} --out {cache} --size 96",
        f"train --preset demo --cache {cache} --run-dir {run} --device {device}",
        f"eval {run} --cache {cache} --split test --control shuffled-text --out {out / 'scores'} --device {device}",
        f"predict {run} {data / 'scenes' / 'images' / 'test'} -e '{ASKED}' --out {out / 'predictions'} --gallery --device {device}",
    ]


def _run(command: str) -> int:
    """Run one command in a process of its own, as a user would; its exit code. What it prints is not the demo's result: to stderr."""
    console.notice(f"\n$ cmirnet {command}")
    words = [sys.executable, "-m", "cmirnet_cli", *shlex.split(command), *(["--quiet"] if console.quiet else [])]
    return subprocess.run(words, check=False, stdout=subprocess.DEVNULL if console.quiet else sys.stderr).returncode


def _draw_gallery(out: Path, device: str) -> Path:
    """A picture of what the new weights find in scenes they have not seen, beside the truth."""
    from cmirnet_cli.reports.files import write_image
    from cmirnet_cli.reports.sheet import contact_sheet

    picture = out / "gallery.png"
    write_image(picture, contact_sheet(list(_cells(out, device)), COLUMNS, "Held-out scenes: what the words point at"))
    return picture


def _cells(out: Path, device: str) -> Iterator[Cell]:
    from cmirnet_cli.cache.find import find_cache
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.engine.photos import read_photo
    from cmirnet_cli.engine.segmenter import Segmenter
    from cmirnet_cli.reports.sheet import Cell

    segmenter = Segmenter.from_pretrained(out / "run", device)
    cache = Cache.open(find_cache(out / "cache"))
    rows = cache.referents("test").tolist()
    for row in rows[:: len(rows) // SHOWN][:SHOWN]:
        referent = cache.referent(row)
        pixels, target = read_photo(Path(cache.image_file(referent.image_row))), cache.mask(row, None) > 0
        sentence = max((sentence.text for sentence in referent.sentences), key=len)
        mask = segmenter.predict(pixels, sentence)[0].mask
        yield Cell(pixels, mask, target, sentence, float((mask & target).sum() / max((mask | target).sum(), 1)))


def _show(out: Path, picture: Path, seconds: float) -> None:
    scores = json.loads((out / "scores" / "scores.json").read_text(encoding="utf-8"))["splits"]["test"]["paper"]
    found, control = scores["overall_iou"], scores["control"]["shuffled-text"]["overall_iou"]
    console.result(
        {"seconds": seconds, "overall_iou": found, "control_overall_iou": control, "gallery": picture, "weights": out / "run/weights/best"},
        f"\nOn {scores['sentences']} sentences about scenes it has never seen, overall IoU is {found:.1f};",
        f"asked with the sentences of other objects, the same weights reach {control:.1f}: they read the words.",
        f"The demo took {int(seconds // 60)} min {int(seconds % 60)} s.\n",
        f"gallery      {picture}",
        f"predictions  {out / 'predictions' / 'gallery.html'}",
        f"weights      {out / 'run/weights/best'}",
        f"\nTry it:  cmirnet predict {out / 'run'} {out / 'data/scenes/images/test'} -e 'the small red circle' --out my-masks --overlay",
    )
