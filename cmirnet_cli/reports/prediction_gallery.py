"""The gallery page of a folder of predictions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from cmirnet_cli.durable import write_text
from cmirnet_cli.reports.page import GalleryEntry, gallery_page
from cmirnet_cli.reports.prediction_index import Lines
from cmirnet_cli.reports.predictions import MASKS, OVERLAYS

GALLERY = "gallery.html"
MOST = 500
"""Predictions that a page shows: browsers, and the memory it is put together in, bear no ten thousand pictures."""


def write_gallery(folder: Path, lines: Lines, most: int = MOST) -> int:
    """Write one self-contained page of overlays, which must have been written; how many of `lines` it shows.

    Where there are more than `most`, it shows every second one, or every third, and so on, and says so.
    """
    step = -(-len(lines) // most) or 1
    shown = Lines(lines.index, lines.keys[::step])
    about = f"{len(shown):,} of {len(lines):,} masks, one in {step}" if step > 1 else ""
    write_text(folder / GALLERY, gallery_page(_entries(folder, shown), "predictions", about))
    return len(shown)


def _entries(folder: Path, lines: Lines) -> Iterator[GalleryEntry]:
    for line in lines:
        with Image.open(folder / OVERLAYS / Path(line["mask"]).relative_to(MASKS)) as picture:
            yield GalleryEntry(picture.convert("RGB"), line["expression"], line["image"], line["score"])
