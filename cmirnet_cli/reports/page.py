"""The gallery page of predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image

from cmirnet_cli.reports.cards import Card, Meter
from cmirnet_cli.reports.gallery import Gallery, Order
from cmirnet_cli.reports.markup import text

ORDERS = (
    Order("as predicted"),
    Order("surest first", "score", falling=True),
    Order("least sure first", "score"),
    Order("by expression", "expression"),
    Order("by file", "source"),
)


@dataclass(frozen=True)
class GalleryEntry:
    """One prediction to look at.

    Attributes:
        picture: the image with its mask laid over it, any size.
        expression: what was asked for.
        source: where the image came from, as the user named it.
        score: how sure the network is, a fraction from 0 to 1.
    """

    picture: Image.Image
    expression: str
    source: str
    score: float


def gallery_page(entries: Iterable[GalleryEntry], title: str, about: str = "") -> str:
    """The whole page as HTML; see `Gallery.html`. Entries are consumed one at a time.

    Args:
        entries: what is shown.
        title: heads the page.
        about: plain text above the predictions.
    """
    above = f'<section id="about">{text(about)}</section>\n' if about else ""
    return Gallery(title, "predictions", "words or file name", ORDERS, above).html(map(_card, entries))


def _card(entry: GalleryEntry) -> Card:
    keys: dict[str, float | str] = {"score": entry.score, "expression": entry.expression, "source": entry.source}
    return Card(entry.picture, [entry.expression], [entry.source], keys, meters=[Meter("score", entry.score)])
