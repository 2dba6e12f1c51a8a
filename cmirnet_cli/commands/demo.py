"""`cmirnet demo`."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmirnet_cli.commands.own_command import announced, require_success
from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import Device, Overwrite

if TYPE_CHECKING:
    from cmirnet_cli.reports.pictures.sheet import SheetCard

SCENES = {"train": 1200, "val": 40, "test": 150}
SHOWN = 12
COLUMNS = 4
ASKED = "the leftmost shape"
MARKER = ".cmirnet-demo"
"""The file that tells a folder of the demo from any other."""
MADE = ("data", "cache", "run", "scores", "predictions", "gallery.png")


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
    for words in _commands(out, device):
        _run(words)
    _show(out, _draw_gallery(out, device), time.monotonic() - started)


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
    return [
        ["prepare-data", "scenes", "--split-by", "demo", "--data", data, "--out", cache, "--size", "96"],
        ["train", "--preset", "demo", "--cache", cache, "--run-dir", run, *on],
        ["eval", run, "--cache", cache, "--split", "test", "--control", "shuffled-text", "--out", str(out / "scores"), *on],
        ["predict", run, images, "-e", ASKED, "--out", str(out / "predictions"), "--gallery", *on],
    ]


def _run(words: Sequence[str]) -> None:
    """Run one command. What it prints is not the demo's result: to stderr."""
    output = subprocess.DEVNULL if console.quiet else sys.stderr
    require_success(words, subprocess.run(announced(words), check=False, stdout=output).returncode)


def _draw_gallery(out: Path, device: str) -> Path:
    """A picture of what the new weights find in scenes they have not seen, beside the truth."""
    from cmirnet_cli.files import write_image
    from cmirnet_cli.reports.pictures.sheet import contact_sheet

    picture = out / "gallery.png"
    write_image(picture, contact_sheet(list(_cells(out, device)), COLUMNS, "Held-out scenes: what the words point at"))
    return picture


def _cells(out: Path, device: str) -> Iterator[SheetCard]:
    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.engine.prediction.photos import read_photo
    from cmirnet_cli.engine.prediction.segmenter import Segmenter
    from cmirnet_cli.reports.pictures.sheet import SheetCard

    segmenter = Segmenter.from_pretrained(out / "run", device)
    cache = Cache.open(find_cache(out / "cache"))
    rows = cache.referents("test").tolist()
    for row in rows[:: len(rows) // SHOWN][:SHOWN]:
        referent = cache.referent(row)
        pixels, target = read_photo(Path(cache.image_file(referent.image_row))), cache.mask(row, None) > 0
        sentence = max((sentence.text for sentence in referent.sentences), key=len)
        mask = segmenter.predict(pixels, sentence)[0].mask
        yield SheetCard(pixels, mask, target, sentence, float((mask & target).sum() / max((mask | target).sum(), 1)))


def _show(out: Path, picture: Path, seconds: float) -> None:
    scores = json.loads((out / "scores" / "scores.json").read_text(encoding="utf-8"))["splits"]["test"]["paper"]
    again = ["predict", out / "run", out / "data/scenes/images/test", "-e", "the small red circle", "--out", "my-masks", "--overlay"]
    found, control = scores["overall_iou"], scores["control"]["shuffled-text"]["overall_iou"]
    console.result(
        {"seconds": seconds, "overall_iou": found, "control_overall_iou": control, "gallery": picture, "weights": out / "run/weights/best"},
        f"\nOn {scores['sentences']} sentences about scenes it has never seen, overall IoU is {found:.1f};",
        f"asked with the sentences of other objects, the same weights reach {control:.1f}: they read the words.",
        f"The demo took {int(seconds // 60)} min {int(seconds % 60)} s.\n",
        f"gallery      {picture}",
        f"predictions  {out / 'predictions' / 'gallery.html'}",
        f"weights      {out / 'run/weights/best'}",
        f"\nTry it:  {shlex.join(['cmirnet', *map(str, again)])}",
    )
