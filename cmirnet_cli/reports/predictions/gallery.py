"""The gallery page of a folder of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cmirnet_cli.files import write_text
from cmirnet_cli.reports.pages.cards import Card, Entry, Meter, jpeg
from cmirnet_cli.reports.pages.gallery import Gallery, Order
from cmirnet_cli.reports.predictions.folder import GALLERY, MASKS, OVERLAYS
from cmirnet_cli.reports.predictions.index import Lines

MOST = 500
"""Predictions that a page shows: browsers, and the memory it is put together in, bear no ten thousand pictures."""

ORDERS = (
    Order("as predicted"),
    Order("highest score first", "score", falling=True),
    Order("lowest score first", "score"),
    Order("by expression", "expression"),
    Order("by file", "source"),
)


@dataclass(frozen=True)
class GalleryEntry:
    """One prediction to look at.

    Attributes:
        picture: the image with its mask laid over it, any size.
        expression: that the mask answers.
        source: where the image came from, as the user named it.
        score: how sure the network is, a fraction from 0 to 1.
    """

    picture: Image.Image
    expression: str
    source: str
    score: float


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


def gallery_page(entries: Iterable[GalleryEntry], title: str, about: str = "") -> str:
    """The whole page as HTML; see `Gallery.html`. Entries are consumed one at a time.

    Args:
        entries: what is shown.
        title: heads the page.
        about: plain text above the predictions.
    """
    return Gallery(title, "predictions", "words or file name", ORDERS, about=about).html(map(_card, entries))


def _card(shown: GalleryEntry) -> Card:
    keys: dict[str, float | str] = {"score": shown.score, "expression": shown.expression, "source": shown.source}
    return Card(Entry([shown.expression], [shown.source], keys, meters=[Meter("score", shown.score)]), jpeg(shown.picture))
