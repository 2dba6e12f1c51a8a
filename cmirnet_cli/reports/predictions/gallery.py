"""The gallery page of a folder of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

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


def write_gallery(folder: Path, lines: Lines, most: int = MOST) -> int:
    """Write one self-contained page of overlays, which must have been written; how many of `lines` it shows.

    Where there are more than `most`, it shows every second one, or every third, and so on, and says so.
    """
    step = -(-len(lines) // most) or 1
    shown = Lines(lines.index, lines.keys[::step])
    about = f"{len(shown):,} of {len(lines):,} masks, one in {step}" if step > 1 else ""
    write_text(folder / GALLERY, gallery_page(_cards(folder, shown), about))
    return len(shown)


def gallery_page(cards: Iterable[Card], about: str = "") -> str:
    """The whole page as HTML, with plain text above the cards; see `Gallery.html`. Cards are consumed one at a time."""
    return Gallery("predictions", "predictions", "words or file name", ORDERS, about=about).html(cards)


def prediction_card(overlay: Image.Image, line: Mapping[str, Any]) -> Card:
    """A prediction: the image with its mask laid over it, and its line of the index."""
    keys = {"score": line["score"], "expression": line["expression"], "source": line["image"]}
    return Card(Entry([line["expression"]], [line["image"]], keys, meters=[Meter("score", line["score"])]), jpeg(overlay))


def _cards(folder: Path, lines: Lines) -> Iterator[Card]:
    for line in lines:
        with Image.open(folder / OVERLAYS / Path(line["mask"]).relative_to(MASKS)) as picture:
            yield prediction_card(picture, line)
